package carriers_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

func post(t *testing.T, client *http.Client, url string) (carriers.Answer, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("a=b"))
	require.NoError(t, err)
	return carriers.Exchange(client, r)
}

func reason(t *testing.T, err error) omni.Reason {
	t.Helper()
	var e *carriers.SendError
	require.ErrorAs(t, err, &e)
	return e.Reason
}

func TestExchange(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/reset":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = conn.Close()
			}
		case "/slow":
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/cut", "/cut-refusal":
			w.Header().Set("Content-Length", "100")
			if r.URL.Path == "/cut-refusal" {
				w.WriteHeader(http.StatusBadRequest)
			}
			_, _ = w.Write([]byte("half"))
		case "/huge":
			_, _ = w.Write(make([]byte, carriers.MaxAnswer+1))
		default:
			_, _ = w.Write([]byte("fine"))
		}
	}))
	t.Cleanup(s.Close)
	client := &http.Client{Timeout: 200 * time.Millisecond}

	a, err := post(t, client, s.URL)
	require.NoError(t, err)
	require.Equal(t, "fine", string(a.Body))

	for path, want := range map[string]omni.Reason{
		"/reset": omni.ReasonUnknown, "/slow": omni.ReasonUnknown, "/cut": omni.ReasonUnknown, "/huge": omni.ReasonUnknown,
	} {
		_, err := post(t, client, s.URL+path+"?key=secret")
		require.Equal(t, want, reason(t, err), path)
		require.NotContains(t, err.Error(), "secret")
	}

	a, err = post(t, client, s.URL+"/cut-refusal")
	require.NoError(t, err, "the status says enough")
	require.Equal(t, http.StatusBadRequest, a.Status)
	require.Nil(t, a.Body)

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = post(t, client, "http://"+l.Addr().String())
	require.Equal(t, omni.ReasonUnreachable, reason(t, err))

	refuses := &http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("no such host") })}
	_, err = post(t, refuses, "https://api.example.test")
	require.Equal(t, omni.ReasonUnreachable, reason(t, err))
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestReasonOfStatus(t *testing.T) {
	t.Parallel()
	for status := range 1000 {
		require.True(t, carriers.ReasonOfStatus(status).Valid(), status)
	}
	for status, want := range map[int]omni.Reason{
		200: omni.ReasonUnknown, 302: omni.ReasonMisconfigured, 400: omni.ReasonMalformed, 401: omni.ReasonMisconfigured,
		403: omni.ReasonMisconfigured, 404: omni.ReasonMisconfigured, 408: omni.ReasonUnreachable, 409: omni.ReasonRejected,
		422: omni.ReasonMalformed, 429: omni.ReasonThrottled, 500: omni.ReasonUnknown, 502: omni.ReasonUnknown,
		503: omni.ReasonUnreachable, 504: omni.ReasonUnknown,
	} {
		require.Equal(t, want, carriers.ReasonOfStatus(status), status)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]int{
		"": 0, "7": 7, "-1": 0, "999999999": 86400, "soon": 0,
		"Mon, 23 Nov 2026 12:01:30 GMT": 90, "Mon, 23 Nov 2026 11:00:00 GMT": 0, "Tue, 23 Nov 2027 11:00:00 GMT": 86400,
	} {
		a := carriers.Answer{Status: 429, Header: http.Header{"Retry-After": {header}}}
		require.Equal(t, want, a.Refused(omni.ReasonThrottled, "", now).RetryAfter, header)
		require.Zero(t, a.Refused(omni.ReasonRejected, "", now).RetryAfter)
	}
}

func TestAddress(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "+14155550123": "+14155550123", "4155550123": "+14155550123", "14155550123": "+14155550123",
		"24155550123": "24155550123", "12345": "12345", "ACME": "ACME", "US.1234": "US.1234", " +4915 ": "+4915",
	} {
		got, err := carriers.Address("From", in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"a\x00b", "a\nb", "\xff", strings.Repeat("1", 256)} {
		_, err := carriers.Address("From", in)
		require.ErrorIs(t, err, omni.ErrInvalid, "%q", in)
		require.ErrorContains(t, err, "malformed_body: From")
	}
}

func TestID(t *testing.T) {
	t.Parallel()
	id, err := carriers.ID("MessageSid", "SM1")
	require.NoError(t, err)
	require.Equal(t, "SM1", id)
	for in, name := range map[string]string{
		"": carriers.MissingField, " ": carriers.MissingField, "\xff": carriers.MalformedBody,
		strings.Repeat("1", 256): carriers.MalformedBody,
	} {
		_, err := carriers.ID("MessageSid", in)
		var e *carriers.WebhookError
		require.ErrorAs(t, err, &e, "%q", in)
		require.Equal(t, name, e.Name, "%q", in)
	}
}

func TestSec_W8_Nesting(t *testing.T) {
	t.Parallel()
	deep := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	require.NoError(t, carriers.CheckNesting(deep(carriers.MaxNesting)))
	require.ErrorIs(t, carriers.CheckNesting(deep(carriers.MaxNesting+1)), omni.ErrInvalid)
	require.ErrorIs(t, carriers.CheckNesting([]byte(strings.Repeat(`{"a":`, 100_000))), omni.ErrInvalid)
	require.NoError(t, carriers.CheckNesting([]byte(`["`+strings.Repeat("[", 100)+`\"[[","\\"]`)))
}

func TestIgnoreAndPresentation(t *testing.T) {
	t.Parallel()
	require.Equal(t, carriers.Ignored{Name: carriers.UnknownStatus, Value: "a b"}, carriers.Ignore(carriers.UnknownStatus, "a\nb"))
	require.Len(t, carriers.Ignore(carriers.UnknownEvent, strings.Repeat("x", 1000)).Value, 64)
	for address, want := range map[string]bool{
		"https://x.test/a.smil": true, "https://x.test/a.SMIL?b=c.jpg": true, "https://x.test/a.jpg?b=.smil": false,
		"https://x.test/smil": false, "https://x.test/a.jpg#.smil": false, "": false,
	} {
		require.Equal(t, want, carriers.Presentation(address, "image/jpeg"), address)
	}
	require.True(t, carriers.Presentation("https://x.test/1", "application/smil; charset=utf-8"))
}
