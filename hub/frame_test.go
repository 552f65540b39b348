package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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

// However the bytes come, what is before a wrong length passes, and nothing behind it.
func TestLengthsAreShort(t *testing.T) {
	t.Parallel()
	frame := func(first byte, length []byte, payload int) []byte {
		b := append([]byte{first}, length...)
		if length[0]&0x80 != 0 {
			b = append(b, 1, 2, 3, 4)
		}
		return append(b, bytes.Repeat([]byte{0xfe}, payload)...)
	}
	good := bytes.Join([][]byte{
		frame(0x81, []byte{0x80}, 0), frame(0x01, []byte{0x80 | 125}, 125), frame(0x80, []byte{0x80 | 126, 0, 126}, 126), frame(0x81, []byte{3}, 3),
		frame(0x82, []byte{126, 0xff, 0xff}, 65535), frame(0x81, []byte{0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0}, 65536), frame(0x89, []byte{0x80 | 5}, 5),
	}, nil)
	for _, bad := range [][]byte{
		nil,
		frame(0x81, []byte{0x80 | 126, 0, 125}, 125), frame(0x81, []byte{126, 0, 0}, 0), frame(0x89, []byte{0x80 | 126, 0, 5}, 5),
		frame(0x81, []byte{0x80 | 127, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 9), frame(0x81, []byte{127, 0, 0, 0, 0, 0, 0, 0, 1}, 1),
	} {
		all := slices.Concat(good, bad, good)
		want := len(good)
		if bad == nil {
			want = len(all)
		}
		for _, size := range []int{1, 2, 3, 7, 512, len(all)} {
			var h heads
			passed := 0
			for chunk := range slices.Chunk(all, size) {
				n := h.pass(chunk)
				passed += n
				require.Equal(t, h.wrong, n < len(chunk))
				if h.wrong {
					break
				}
			}
			require.Equal(t, bad != nil, h.wrong)
			if size == len(all) || bad == nil {
				require.Equal(t, want, passed, "in chunks of %d", size)
			}
			require.Less(t, passed-want, 10, "at most the head itself")
		}
	}
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
