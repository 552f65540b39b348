package omni_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

const canary = "hunter2-correct-horse-battery"

func TestSecretShowsInNoVerb(t *testing.T) {
	t.Parallel()
	s := omni.NewSecret(canary)
	type exported struct{ Token omni.Secret }
	type unexported struct{ token omni.Secret }
	type nested struct{ inner unexported }
	values := map[string]any{
		"value": s, "pointer": &s, "slice": []omni.Secret{s}, "map": map[string]omni.Secret{"a": s}, "any": []any{s},
		"exported field": exported{s}, "pointer to struct": &exported{s},
		"unexported field": unexported{s}, "unexported inside unexported": nested{unexported{s}},
		"slice inside": map[string][]omni.Secret{"a": {s}},
	}
	for name, v := range values {
		for _, verb := range "vsqxXdobctTUeEfFgGp" {
			for _, flags := range []string{"", "+", "#", " ", "-40", "080"} {
				format := "%" + flags + string(verb)
				require.NotContains(t, decoded(fmt.Sprintf(format, v)), canary, "%s %s", name, format)
			}
		}
		require.NotContains(t, fmt.Sprint(v), canary, name)
		require.NotContains(t, fmt.Errorf("wrap %v: %w", v, errors.New("x")).Error(), canary, name)
	}
	require.Equal(t, "[redacted]", s.String())
	require.Equal(t, "[redacted]", fmt.Sprintf("%x", s))
}

// decoded adds to s what it would say if it were hex or quoted bytes.
func decoded(s string) string {
	var hexed []byte
	for i := 0; i+1 < len(s); i++ {
		var b byte
		if n, err := fmt.Sscanf(s[i:i+2], "%02x", &b); n == 1 && err == nil {
			hexed = append(hexed, b)
			i++
		}
	}
	return s + string(hexed)
}

func TestSecretShowsInNoLogAndNoJSON(t *testing.T) {
	t.Parallel()
	s := omni.NewSecret(canary)
	type settings struct {
		Name  string
		Token omni.Secret
		inner omni.Secret
	}
	v := settings{Name: "x", Token: s, inner: s}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		slog.New(handler(&out)).Info("started", "one", s, "two", &s, "three", v, "four", &v, slog.Group("five", "six", s),
			"seven", []omni.Secret{s})
		require.NotContains(t, out.String(), canary, name)
		require.Contains(t, out.String(), "[redacted]", name)
	}
	b, err := json.Marshal(map[string]any{"one": s, "two": &s, "three": v, "four": []omni.Secret{s}, "five": omni.Secret{}})
	require.NoError(t, err)
	require.NotContains(t, string(b), canary)
	require.Equal(t, 5, strings.Count(string(b), `"[redacted]"`))
}

func TestSecretIsReadFromJSON(t *testing.T) {
	t.Parallel()
	var v struct {
		Token omni.Secret `json:"token"`
	}
	require.NoError(t, json.Unmarshal([]byte(`{"token":"`+canary+`"}`), &v))
	require.Equal(t, canary, v.Token.Reveal())
	require.NoError(t, json.Unmarshal([]byte(`{"token":null}`), &v))
	require.True(t, v.Token.IsZero())

	for _, bad := range []string{`{"token":12345678}`, `{"token":["` + canary + `"]}`, `{"token":{"a":"` + canary + `"}}`} {
		err := json.Unmarshal([]byte(bad), &v)
		require.ErrorIs(t, err, omni.ErrInvalid)
		require.NotContains(t, err.Error(), canary)
	}
}

func TestSecret(t *testing.T) {
	t.Parallel()
	var zero omni.Secret
	require.True(t, zero.IsZero())
	require.Empty(t, zero.Reveal())
	require.Empty(t, zero.Hint())
	require.True(t, omni.NewSecret("").IsZero())
	require.Equal(t, "[redacted]", fmt.Sprint(zero), "whether a secret is set does not show either")

	require.Equal(t, canary, omni.NewSecret(canary).Reveal())
	require.False(t, omni.NewSecret(canary).IsZero())
	require.Equal(t, "tery", omni.NewSecret(canary).Hint())
	require.Equal(t, "9abc", omni.NewSecret("123456789abc").Hint())
	require.Empty(t, omni.NewSecret("12345678901").Hint(), "too short to show a part of")
	same := omni.NewSecret("a")
	require.Equal(t, omni.NewSecret("a"), same, "tests may compare them")
	require.NotEqual(t, omni.NewSecret("a"), omni.NewSecret("b"))
}
