package omni_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestSchemaVersionJSON(t *testing.T) {
	t.Parallel()
	const example = `{"version":1,"date":"2024-01-15T00:00:00.000Z"}`
	var v omni.SchemaVersion
	require.NoError(t, json.Unmarshal([]byte(example), &v))
	require.Equal(t, omni.SchemaVersion{Version: 1, Date: time.Date(2024, 1, 15, 0, 0, 0, 0, time.UTC)}, v)
	b, err := json.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, example, string(b)) //nolint:testifylint // byte for byte, not as JSON
	require.NoError(t, v.Validate())

	for in, want := range map[string]string{
		`{"date":"2024-01-15T01:30:00+01:30","version":2}`:       `{"version":2,"date":"2024-01-15T00:00:00.000Z"}`,
		`{"version":3,"date":"2024-01-15T00:00:00Z"}`:            `{"version":3,"date":"2024-01-15T00:00:00.000Z"}`,
		`{"version":4,"date":"2024-01-15T00:00:00.123456Z"}`:     `{"version":4,"date":"2024-01-15T00:00:00.123Z"}`,
		`{"version":5,"date":"2024-01-15T00:00:00.000Z","x":[]}`: `{"version":5,"date":"2024-01-15T00:00:00.000Z"}`,
	} {
		var v omni.SchemaVersion
		require.NoError(t, json.Unmarshal([]byte(in), &v), in)
		b, err := json.Marshal(v)
		require.NoError(t, err)
		require.Equal(t, want, string(b))
	}
	for _, bad := range []string{`{"version":"1","date":"2024-01-15T00:00:00Z"}`, `{"version":1}`, `{"version":1,"date":"15.1.2024"}`, `[]`, `"1"`} {
		v := omni.SchemaVersion{Version: 7}
		require.ErrorIs(t, json.Unmarshal([]byte(bad), &v), omni.ErrInvalid, bad)
		require.Equal(t, omni.SchemaVersion{Version: 7}, v, "what cannot be read changes nothing")
	}
}

func TestCurrentSchemaIsValid(t *testing.T) {
	t.Parallel()
	require.NoError(t, omni.CurrentSchema.Validate())
	require.Equal(t, time.UTC, omni.CurrentSchema.Date.Location())
}
