package reroute_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers/reroute"
	"omniservice/omni"
)

func mapping(mapper omni.RerouteMapper, key, url string) reroute.Mapping {
	return reroute.Mapping{ID: url + key, Mapper: mapper, Key: key, Environment: "env " + url, URL: url}
}

func TestTheFirstMapperThatMatchesWins(t *testing.T) {
	t.Parallel()
	all := []reroute.Mapping{
		mapping(omni.RerouteDefault, "", "https://default"),
		mapping(omni.RerouteByTemplatePrefix, "st_", "https://prefix"),
		mapping(omni.RerouteByTemplatePrefix, "st_new_", "https://longer"),
		mapping(omni.RerouteByPhoneNumber, "77", "https://phone"),
		mapping(omni.RerouteByWABA, "1", "https://waba"),
		mapping(omni.RerouteByWABA, "2", ""),
	}
	off := mapping(omni.RerouteByWABA, "3", "https://off")
	off.Disabled = true
	all = append(all, off)
	for _, c := range []struct {
		name string
		part reroute.Part
		want string // "": ours
	}{
		{"account", reroute.Part{WABAID: "1", PhoneNumberID: "77", Template: "st_x"}, "https://waba"},
		{"account of ours, whatever its number", reroute.Part{WABAID: "2", PhoneNumberID: "77"}, ""},
		{"number", reroute.Part{WABAID: "9", PhoneNumberID: "77", Template: "st_x"}, "https://phone"},
		{"template", reroute.Part{WABAID: "9", Template: "st_x"}, "https://prefix"},
		{"longest prefix", reroute.Part{WABAID: "9", Template: "st_new_x"}, "https://longer"},
		{"no template is no prefix", reroute.Part{WABAID: "9"}, "https://default"},
		{"a mapping that is off", reroute.Part{WABAID: "3"}, "https://default"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, ok := reroute.Choose(all, c.part)
			require.Equal(t, c.want != "", ok)
			require.Equal(t, c.want, m.URL)
		})
	}
	_, ok := reroute.Choose(nil, reroute.Part{WABAID: "1"})
	require.False(t, ok)
}

// words is a sharer whose bodies are words, each a part of the account that it begins with.
type words struct{ fail bool }

func (words) Parts(body []byte) []reroute.Part {
	var parts []reroute.Part
	for i, w := range bytes.Fields(body) {
		parts = append(parts, reroute.Part{WABAID: string(w[:1]), Index: i})
	}
	return parts
}

func (w words) Join(body []byte, parts []reroute.Part) ([]byte, error) {
	if w.fail {
		return nil, errors.New("cannot")
	}
	all := bytes.Fields(body)
	var some [][]byte
	for _, p := range parts {
		some = append(some, all[p.Index])
	}
	return bytes.Join(some, []byte(" ")), nil
}

func (words) Sign(h http.Header, body []byte) { h.Set("X-Signed", strings.ToUpper(string(body))) }

func TestSplit(t *testing.T) {
	t.Parallel()
	maps := []reroute.Mapping{mapping(omni.RerouteByWABA, "a", "https://a"), mapping(omni.RerouteByWABA, "b", "https://b")}
	for _, c := range []struct {
		name, body, own string
		others          map[string]string
	}{
		{"all ours: the same bytes", "x1  x2", "x1  x2", nil},
		{"all of one other: the same bytes", "a1  a2", "", map[string]string{"https://a": "a1  a2"}},
		{"mixed, in order", "x1 a1 b1 a2 x2", "x1 x2", map[string]string{"https://a": "a1 a2", "https://b": "b1"}},
		{"nothing in it", " ", " ", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			own, others, err := reroute.Split(words{}, maps, []byte(c.body))
			require.NoError(t, err)
			require.Equal(t, c.own, string(own))
			got := map[string]string{}
			for _, d := range others {
				got[d.Mapping.URL] = string(d.Body)
			}
			if c.others == nil {
				c.others = map[string]string{}
			}
			require.Equal(t, c.others, got)
		})
	}
	own, others, err := reroute.Split(words{fail: true}, nil, []byte("a1 x1"))
	require.NoError(t, err, "without mappings nothing is read")
	require.Equal(t, "a1 x1", string(own))
	require.Empty(t, others)
	_, _, err = reroute.Split(words{fail: true}, maps, []byte("a1 x1"))
	require.Error(t, err)
}

func TestForward(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	status := http.StatusOK
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		if status == http.StatusFound {
			http.Redirect(w, r, "/elsewhere", status)
			return
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("y", 10_000))
	}))
	t.Cleanup(s.Close)
	m := mapping(omni.RerouteDefault, "", s.URL+"/hook")
	clock := time.UnixMilli(1_000)
	now := func() time.Time { clock = clock.Add(5 * time.Millisecond); return clock }

	res := reroute.Forward(t.Context(), s.Client(), words{}, m, []byte("a1"), now)
	require.True(t, res.OK())
	require.Equal(t, "a1", string(body))
	require.Equal(t, "A1", got.Header.Get("X-Signed"))
	require.Equal(t, m.Environment, got.Header.Get(reroute.Header))
	require.Equal(t, "/hook", got.URL.Path)
	require.Len(t, res.Body, 512)
	require.Equal(t, int64(5), res.DurationMs)
	require.Equal(t, omni.Millis(1_005), res.At)

	for code, again := range map[int]bool{500: true, 503: true, 429: true, 408: true, 400: false, 403: false, 404: false, 302: false} {
		status = code
		res = reroute.Forward(t.Context(), s.Client(), words{}, m, []byte("a1"), now)
		require.Equal(t, code, res.Status, "redirects are answers")
		require.False(t, res.OK())
		require.Equal(t, again, res.Retryable(), "%d", code)
	}
	s.Close()
	res = reroute.Forward(t.Context(), s.Client(), words{}, m, []byte("a1"), now)
	require.Zero(t, res.Status)
	require.True(t, res.Retryable())
	require.NotEmpty(t, res.Error)
	require.NotContains(t, res.Error, "/hook")
	require.False(t, reroute.Forward(t.Context(), s.Client(), words{}, mapping(omni.RerouteDefault, "", "http://%"), nil, now).OK())
}
