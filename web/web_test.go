package web_test

import (
	"io/fs"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/web"
)

func TestFilesMatchBuilt(t *testing.T) {
	t.Parallel()
	_, err := fs.Stat(web.Console(), "index.html")
	if web.Built() {
		require.NoError(t, err)
	} else {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	_, err = fs.Stat(web.Widget(), "no-such-file")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
