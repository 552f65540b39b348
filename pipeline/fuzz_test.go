package pipeline

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

// FuzzInspect shows that whatever a file begins with, it is refused in words, or kept as what the list has.
func FuzzInspect(f *testing.F) {
	for _, head := range []string{
		"", "words", "<svg/>", "<!doctype html>", "%PDF-1.7", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "GIF89a\x01\x00\x01\x00\x00",
		"\xff\xd8\xff\xe0\x00\x10JFIF", "RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07", "RIFF\x1a\x00\x00\x00WEBPVP8X",
		"PK\x03\x04", "#!AMR\n", "OggS\x00\x02", "\x00\x00\x00\x18ftypmp42",
	} {
		f.Add("image/png", "../a\u202eb.png", []byte(head))
		f.Add("", "", []byte(head))
	}
	f.Fuzz(func(t *testing.T, claim, name string, head []byte) {
		ref := omni.MediaReference{Type: omni.MediaTypeOf(claim), ContentType: claim, FileName: name, State: omni.MediaPending}
		got, err := inspect(ref, head)
		if err != nil {
			var why *fileError
			require.ErrorAs(t, err, &why)
			require.NotEmpty(t, why.words)
			return
		}
		require.Contains(t, fileTypes, got.ContentType)
		require.True(t, got.Type.Valid())
		require.False(t, strings.ContainsAny(got.FileName, "/\\\n\u202e"))
		if got.Type == omni.MediaImage {
			require.Equal(t, omni.MediaImage, fileTypes[got.ContentType])
		}
	})
}
