package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
)

func TestEventIsEncodedAsWireSays(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 60, 125, 126, 1000, 65535, 65536, 200_000} {
		data, err := json.Marshal(strings.Repeat("x", size))
		require.NoError(t, err)
		for _, e := range []Entry{
			{Type: "message.created", Data: data, At: 1763800001123, Offset: 42},
			{Type: "typing", Data: data, At: 1},
			{Type: "odd \" \n type é", Data: data, At: 1},
			{Type: "no.data", At: 1},
		} {
			m, err := encodeEvent("group/g1", e)
			require.NoError(t, err)
			var want bytes.Buffer
			require.NoError(t, encodeJSON(&want, wire.Event{Type: e.Type, Topic: "group/g1", Offset: e.Offset, At: e.At, Data: e.Data}))
			require.Equal(t, want.String(), string(m.body()))
			require.NotContains(t, string(m.body()), "\n")
			require.Equal(t, append(appendHead(nil, finText, m.size()), m.body()...), m.frame)
		}
	}
	m, err := encodeEvent("t/1", Entry{Type: "x", Data: json.RawMessage("{\n\"a\":\n1}")})
	require.NoError(t, err)
	require.JSONEq(t, `{"type":"x","topic":"t/1","at":0,"data":{"a":1}}`, string(m.body()))
	require.NotContains(t, string(m.body()), "\n")
	_, err = encodeEvent("t/1", Entry{Type: "x", Data: json.RawMessage("{\n")})
	require.Error(t, err)
}

func TestReconnect(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]bool{
		1000: true, 1001: true, 1002: false, 1006: true, 1007: false, 1008: false, 1009: false, 1012: true,
		4000: true, 4001: true, 4002: true, 4008: true, 4401: true, 4403: false, 4499: true, 4500: false, 4999: false,
	} {
		require.Equal(t, want, Reconnect(code), code)
	}
}

func TestCloseReasonFits(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"", "short", strings.Repeat("x", 123), strings.Repeat("x", 124), strings.Repeat("é", 100)} {
		p := closePayload(4000, reason)
		require.LessOrEqual(t, len(p), 125)
		require.True(t, utf8.Valid(p[2:]))
		require.True(t, strings.HasPrefix(reason, string(p[2:])))
	}
}

func TestErrorOf(t *testing.T) {
	t.Parallel()
	require.Nil(t, ErrorOf(nil))
	p := omni.Problemf(omni.ErrRateLimited, "slow down")
	p.RetryAfter = 1500 * time.Millisecond
	p.Fields = map[string]string{"to": "is too long"}
	p.Err = errors.New("secret")
	require.Equal(t, &wire.Error{Code: omni.CodeRateLimited, Message: "slow down", Fields: p.Fields, RetryAfterMs: 1500}, ErrorOf(fmt.Errorf("send: %w", p)))
	for _, tc := range []struct {
		err  error
		want omni.Code
	}{
		{fmt.Errorf("secret: %w", omni.ErrNotFound), omni.CodeNotFound},
		{errors.New("secret"), omni.CodeInternal},
		{omni.Problemf(errors.New("odd"), "secret"), omni.CodeInternal},
		{fmt.Errorf("secret: %w", context.DeadlineExceeded), omni.CodeUnavailable},
	} {
		e := ErrorOf(tc.err)
		require.Equal(t, tc.want, e.Code)
		require.NotEmpty(t, e.Message)
		require.NotContains(t, e.Message, "secret")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	_, err := New(nil, Options{})
	require.ErrorIs(t, err, omni.ErrInvalid)
}

// FuzzDecodeCommands: no client's bytes make the decoder panic, and what it takes for commands is what they say.
func FuzzDecodeCommands(f *testing.F) {
	for _, s := range []string{
		`{"id":1,"type":"connect","data":{"ticket":"x"}}`, "{\"id\":1,\"type\":\"a\"}\n{\"id\":2,\"type\":\"b\"}\n", "", "\n", "[]", "null", "{}",
		`{"id":1e3}`, `{"id":-1,"type":"x"}`, `{"id":99999999999999999999}`, `{"data":`, strings.Repeat("[", 10000), "{\"type\":\"\\ud800\"}", "\x00",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		cmds, err := decodeCommands(frame)
		if err != nil {
			require.ErrorIs(t, err, errFrame)
			require.Nil(t, cmds)
			return
		}
		require.NotEmpty(t, cmds)
		require.LessOrEqual(t, len(cmds), 1+bytes.Count(frame, []byte{'\n'}))
		for _, c := range cmds {
			require.True(t, len(c.Data) == 0 || json.Valid(c.Data))
			_, err := parseConnect(c.Data)
			if err != nil {
				require.ErrorIs(t, err, omni.ErrInvalid)
			}
		}
	})
}
