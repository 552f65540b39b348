package redisbus

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/hub"
)

// readAll reads what a server sends until it ends or is no message any more.
func readAll(in string) (kinds []pushKind, channels []string, payloads []string, err error) {
	p := pushes{bufio.NewReaderSize(strings.NewReader(in), 256)}
	for {
		kind, channel, err := p.next()
		if err != nil {
			return kinds, channels, payloads, err
		}
		kinds, channels = append(kinds, kind), append(channels, string(channel))
		if err := p.skip(channel); err != nil {
			return kinds, channels, payloads, err
		}
		if kind != pushMessage {
			if err := p.end(); err != nil {
				return kinds, channels, payloads, err
			}
			continue
		}
		b, err := p.payload()
		if err != nil {
			return kinds, channels, payloads, err
		}
		payloads = append(payloads, string(b))
	}
}

func TestPushes(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x\r\n$", 1000)
	stream := "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n" +
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n" +
		"*3\r\n$8\r\nsmessage\r\n$2\r\nbb\r\n$0\r\n\r\n" +
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$4000\r\n" + big + "\r\n" +
		"*3\r\n$12\r\nsunsubscribe\r\n$2\r\nbb\r\n:0\r\n"
	kinds, channels, payloads, err := readAll(stream)
	require.EqualError(t, err, "EOF")
	require.Equal(t, []pushKind{pushSubscribed, pushMessage, pushMessage, pushMessage, pushUnsubscribed}, kinds)
	require.Equal(t, []string{"a", "a", "bb", "a", "bb"}, channels)
	require.Equal(t, []string{"hello", "", big}, payloads)

	_, _, _, err = readAll("-NOPERM this user has no permissions\r\n")
	require.EqualError(t, err, "NOPERM this user has no permissions")
	for _, bad := range []string{
		"\r\n", "x", "+OK\r\n", "*3\n", "*x\r\n", "*2\r\n$7\r\nmessage\r\n", "*3\r\n$4\r\npong\r\n", "*3\r\n$-1\r\n", "*3\r\n$7\r\nmessage\r\n$999\r\n",
		"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$-1\r\n", "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$999999999999\r\n", "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\n",
	} {
		_, _, _, err := readAll(bad)
		require.Error(t, err, "%q", bad)
	}
}

func FuzzPushes(f *testing.F) {
	f.Add("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n")
	f.Add("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$8\r\nsmessage\r\n$2\r\nbb\r\n$0\r\n\r\n")
	f.Add("-ERR\r\n")
	f.Fuzz(func(t *testing.T, in string) {
		kinds, channels, payloads, err := readAll(in)
		require.Error(t, err)
		require.Len(t, channels, len(kinds))
		require.LessOrEqual(t, len(payloads), len(kinds))
	})
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("12 0a1b2c3dxyz 1763800001123 message.created\n{}"))
	f.Add([]byte("0 - 5 typing\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := &worker{types: map[string]string{}}
		e, epoch, ok := w.decode(in)
		if !ok {
			require.Zero(t, e)
			return
		}
		require.True(t, bytes.HasSuffix(in, e.Data))
		again, err := encode("", hub.Entry{Type: e.Type, Data: e.Data, At: e.At})
		if err == nil {
			back, _, ok := w.decode(append([]byte("1 "+string(epoch)), again...))
			require.True(t, ok)
			require.Equal(t, e.Type, back.Type)
			require.Equal(t, e.At, back.At)
		}
	})
}
