package httpout_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"omniservice/internal/httpout"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPublic(t *testing.T) {
	t.Parallel()
	for address, public := range map[string]bool{
		"8.8.8.8": true, "1.1.1.1": true, "172.15.0.1": true, "172.32.0.1": true, "100.63.0.1": true, "100.128.0.1": true,
		"2606:4700::1111": true, "2a00:1450::1": true, "64:ff9b::808:808": true, "::ffff:8.8.8.8": true,

		"127.0.0.1": false, "127.255.255.254": false, "0.0.0.0": false, "0.1.2.3": false, "10.0.0.1": false,
		"172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false,
		"169.254.170.2": false, "100.64.0.1": false, "100.100.100.200": false, "192.0.0.192": false,
		"168.63.129.16": false, "198.18.0.1": false, "224.0.0.1": false, "239.255.255.250": false,
		"255.255.255.255": false, "240.0.0.1": false, "192.0.2.1": false, "203.0.113.9": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fc00::1": false, "fd00:ec2::254": false,
		"fec0::1": false, "ff02::1": false, "2001:db8::1": false, "2001::1": false, "2002:7f00:1::": false,
		"::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false, "::ffff:10.0.0.1": false, "::127.0.0.1": false,
		"64:ff9b::7f00:1": false, "64:ff9b::a9fe:a9fe": false, "64:ff9b::a00:1": false, "64:ff9b:1::808:808": false,
	} {
		require.Equal(t, public, httpout.Public(netip.MustParseAddr(address)), address)
	}
	require.False(t, httpout.Public(netip.Addr{}))
}

// client calls servers of this test: its resolver knows the names given, everything else is real.
func client(t *testing.T, o httpout.Options, names map[string][]string, servers ...*httptest.Server) *http.Client {
	t.Helper()
	o.RootCAs = x509.NewCertPool()
	for _, s := range servers {
		if s.Certificate() != nil {
			o.RootCAs.AddCert(s.Certificate())
		}
	}
	if names != nil {
		o.Resolver = resolver(t, func(name string) []string { return names[name] })
	}
	c := httpout.New(o)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// resolver answers from a name server of its own on this machine.
func resolver(t *testing.T, addresses func(name string) []string) *net.Resolver {
	t.Helper()
	var lc net.ListenConfig
	conn, err := lc.ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	t.Cleanup(func() { _ = conn.Close(); <-done })
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			known := addresses(strings.TrimSuffix(q.Name.String(), "."))
			if known == nil {
				m.RCode = dnsmessage.RCodeNameError
			}
			for _, a := range known {
				ip := netip.MustParseAddr(a)
				h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
				switch {
				case ip.Is4() && q.Type == dnsmessage.TypeA:
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: ip.As4()}})
				case ip.Is6() && q.Type == dnsmessage.TypeAAAA:
					m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: ip.As16()}})
				}
			}
			if out, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(out, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, StrictErrors: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, c *http.Client, address string, headers ...string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// on names the server by another host.
func on(s *httptest.Server, host string) string {
	u, _ := url.Parse(s.URL)
	return "https://" + net.JoinHostPort(host, u.Port())
}

func TestSec_M1_ForbiddenAddressesAreNeverDialled(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	s := server(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	c := client(t, httpout.Options{Timeout: 5 * time.Second}, map[string][]string{
		"private.example":  {"10.0.0.1"},
		"local.example":    {"127.0.0.1"},
		"metadata.example": {"169.254.169.254"},
		"mapped.example":   {"::ffff:127.0.0.1"},
		"nat64.example":    {"64:ff9b::7f00:1"},
		"mixed.example":    {"8.8.8.8", "127.0.0.1"}, // which one is dialled would be chance
	}, s)
	for _, host := range []string{
		"127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "169.254.169.254",
		"private.example", "local.example", "metadata.example", "mapped.example", "nat64.example", "mixed.example",
	} {
		_, err := get(t, c, on(s, host))
		require.ErrorIs(t, err, httpout.ErrForbiddenAddress, host)
	}
	require.Zero(t, reached.Load())
}

func TestSec_M1_ARebindingNameIsJudgedByWhatIsDialled(t *testing.T) {
	t.Parallel()
	var reached, asked atomic.Int64
	s := server(t, func(http.ResponseWriter, *http.Request) { reached.Add(1) })
	o := httpout.Options{Timeout: 5 * time.Second, Resolver: resolver(t, func(string) []string {
		if asked.Add(1) <= 2 { // A and AAAA of the first look-up
			return []string{"192.0.2.1"}
		}
		return []string{"127.0.0.1"}
	})}
	c := client(t, o, nil, s)
	for range 3 {
		_, err := get(t, c, on(s, "rebind.example"))
		require.ErrorIs(t, err, httpout.ErrForbiddenAddress)
	}
	require.Zero(t, reached.Load())
}

func TestSec_M1_OnlyHTTPS(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	t.Cleanup(plain.Close)

	c := client(t, httpout.Options{}, nil)
	for _, u := range []string{plain.URL, "http://example.com/", "ftp://example.com/", "file:///etc/passwd"} {
		_, err := get(t, c, u)
		require.ErrorIs(t, err, httpout.ErrForbiddenURL, u)
	}

	c = client(t, httpout.Options{AllowLoopback: true}, nil)
	body, err := get(t, c, plain.URL)
	require.NoError(t, err)
	require.Equal(t, "ok", body)
	_, err = get(t, c, "http://example.com/")
	require.ErrorIs(t, err, httpout.ErrForbiddenURL, "loopback alone may be called without TLS")
	_, err = get(t, c, "https://10.0.0.1/")
	require.ErrorIs(t, err, httpout.ErrForbiddenAddress, "loopback is not the private network")
}

func TestSec_M1_Redirects(t *testing.T) {
	t.Parallel()
	var seen atomic.Pointer[http.Header]
	other := server(t, func(w http.ResponseWriter, r *http.Request) {
		h := r.Header.Clone()
		seen.Store(&h)
		_, _ = w.Write([]byte("other"))
	})
	from := server(t, func(w http.ResponseWriter, r *http.Request) {
		n := 0
		_, _ = fmt.Sscanf(r.URL.Path, "/hops/%d", &n)
		switch {
		case n > 0:
			http.Redirect(w, r, fmt.Sprintf("/hops/%d", n-1), http.StatusFound)
		case r.URL.Path == "/other":
			http.Redirect(w, r, other.URL+"/file", http.StatusFound)
		case r.URL.Path == "/elsewhere":
			http.Redirect(w, r, on(other, "sub.localhost")+"/file", http.StatusFound)
		case r.URL.Path == "/private":
			http.Redirect(w, r, "https://169.254.169.254/latest/meta-data/", http.StatusFound)
		case r.URL.Path == "/plain":
			http.Redirect(w, r, "http://example.com/", http.StatusFound)
		default:
			h := r.Header.Clone()
			seen.Store(&h)
			_, _ = w.Write([]byte("same"))
		}
	})
	c := client(t, httpout.Options{AllowLoopback: true, Timeout: 10 * time.Second}, nil, from, other)
	secret := []string{"Authorization", "Basic x", "X-Api-Key", "key", "Cookie", "a=b", "Accept", "image/*"}

	body, err := get(t, c, from.URL+"/hops/3", secret...)
	require.NoError(t, err)
	require.Equal(t, "same", body)
	require.Equal(t, "Basic x", seen.Load().Get("Authorization"), "the same host keeps its credentials")
	_, err = get(t, c, from.URL+"/hops/4", secret...)
	require.ErrorIs(t, err, httpout.ErrRedirects)

	body, err = get(t, c, from.URL+"/other?token=secret", secret...)
	require.NoError(t, err)
	require.Equal(t, "other", body)
	for _, h := range []string{"Authorization", "X-Api-Key", "Cookie", "Referer"} {
		require.Empty(t, seen.Load().Get(h), h)
	}
	require.Equal(t, "image/*", seen.Load().Get("Accept"))

	_, err = get(t, c, from.URL+"/private")
	require.ErrorIs(t, err, httpout.ErrForbiddenAddress)
	_, err = get(t, c, from.URL+"/plain")
	require.ErrorIs(t, err, httpout.ErrForbiddenURL)
}

func TestSec_M1_CredentialsDoNotFollowToASubdomainAndBack(t *testing.T) {
	t.Parallel()
	type call struct{ host, authorization string }
	var calls []call
	var s *httptest.Server
	s = server(t, func(w http.ResponseWriter, r *http.Request) {
		calls = append(calls, call{r.Host, r.Header.Get("Authorization")})
		switch len(calls) {
		case 1:
			http.Redirect(w, r, on(s, "sub.api.example.com"), http.StatusFound)
		case 2:
			http.Redirect(w, r, on(s, "api.example.com"), http.StatusFound)
		}
	})
	c := client(t, httpout.Options{AllowLoopback: true}, map[string][]string{
		"api.example.com": {"127.0.0.1"}, "sub.api.example.com": {"127.0.0.1"},
	}, s)
	// The certificate of the test server names example.com, not what is below it.
	skipNames(t, c, s)
	_, err := get(t, c, on(s, "api.example.com"), "Authorization", "Basic x")
	require.NoError(t, err)
	require.Len(t, calls, 3)
	require.Equal(t, "Basic x", calls[0].authorization)
	require.Empty(t, calls[1].authorization)
	require.Empty(t, calls[2].authorization)
}

func skipNames(t *testing.T, c *http.Client, s *httptest.Server) {
	t.Helper()
	httpout.SetTLS(c, func(conf *tls.Config) {
		conf.ServerName = "example.com"
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AddCert(s.Certificate())
	})
}

func TestAPostIsNotRedirected(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		http.Redirect(w, r, "/again", http.StatusTemporaryRedirect)
	})
	c := client(t, httpout.Options{AllowLoopback: true}, nil, s)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("a=b"))
	require.NoError(t, err)
	resp, err := c.Do(r)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusTemporaryRedirect, resp.StatusCode)
	require.EqualValues(t, 1, calls.Load())
}

func TestSec_O2_AnswersAreBounded(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := server(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/fits":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1000))
		case "/long":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 1001))
		case "/chunks":
			for range 11 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
				w.(http.Flusher).Flush()
			}
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = z.Write(make([]byte, 1<<20))
			_ = z.Close()
		case "/slow":
			<-release
		}
	})
	t.Cleanup(func() { close(release) })
	c := client(t, httpout.Options{AllowLoopback: true, MaxBody: 1000, Timeout: 5 * time.Second}, nil, s)
	body, err := get(t, c, s.URL+"/fits")
	require.NoError(t, err)
	require.Len(t, body, 1000)
	for _, path := range []string{"/long", "/chunks", "/bomb"} {
		body, err = get(t, c, s.URL+path)
		require.ErrorIs(t, err, httpout.ErrTooLarge, path)
		require.LessOrEqual(t, len(body), 1000)
	}

	hasty := client(t, httpout.Options{AllowLoopback: true, Timeout: 50 * time.Millisecond}, nil, s)
	_, err = get(t, hasty, s.URL+"/slow")
	var timeout net.Error
	require.True(t, errors.As(err, &timeout) && timeout.Timeout(), "%v", err)
}

func TestSec_O3_OldTLSAndUnknownIssuersAreRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	s.TLS = &tls.Config{MaxVersion: tls.VersionTLS11}
	quiet(s)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err := get(t, client(t, httpout.Options{AllowLoopback: true}, nil, s), s.URL)
	require.ErrorContains(t, err, "protocol version")

	s = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	quiet(s)
	s.StartTLS()
	t.Cleanup(s.Close)
	_, err = get(t, client(t, httpout.Options{AllowLoopback: true}, nil), s.URL)
	require.ErrorContains(t, err, "certificate")
}

func TestNoProxyFromTheEnvironment(t *testing.T) { // not parallel: the environment is the process's
	t.Setenv("HTTPS_PROXY", "https://127.0.0.1:1")
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	s := server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("direct")) })
	c := client(t, httpout.Options{AllowLoopback: true}, map[string][]string{"example.com": {"127.0.0.1"}}, s)
	body, err := get(t, c, on(s, "example.com"))
	require.NoError(t, err)
	require.Equal(t, "direct", body)
}

func quiet(s *httptest.Server) {
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
}
