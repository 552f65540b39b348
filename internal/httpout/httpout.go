// Package httpout makes the HTTP client for everything that the gateway calls outside: carriers, files, webhooks.
//
// What it calls is partly named by strangers, so it takes https only, dials public addresses only, whatever a name
// resolves to, follows few redirects, reads little and waits little. It uses no proxy from the environment.
package httpout

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// What the client refuses. The errors that it returns wrap them.
var (
	ErrForbiddenAddress = errors.New("the address is not a public one")
	ErrForbiddenURL     = errors.New("the URL is not https")
	ErrTooLarge         = errors.New("the answer is too large")
	ErrRedirects        = errors.New("too many redirects")
)

const (
	defaultTimeout   = 30 * time.Second
	defaultMaxBody   = 1 << 20
	maxRedirects     = 3
	dialTimeout      = 5 * time.Second // one address
	handshakeTimeout = 10 * time.Second
	maxHeader        = 64 << 10
)

// Options changes what a client allows. The zero value is right for calls to a carrier's API.
type Options struct {
	Timeout time.Duration // whole exchange, body included; 0 means 30 s
	MaxBody int64         // bytes of an answer's body, after decompression; 0 means 1 MiB

	// AllowLoopback lets the client call this machine, by http too. For tests and the demo.
	AllowLoopback bool

	RootCAs  *x509.CertPool // nil means the system's
	Resolver *net.Resolver  // nil means the system's
}

// New makes a client. It is safe for concurrent use and keeps connections, so make few.
func New(o Options) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	g := guard{
		options: o,
		dialer: net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
			at, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("dial an address that cannot be read: %w", ErrForbiddenAddress)
			}
			return permit(at.Addr(), o.AllowLoopback)
		}},
	}
	g.next = &http.Transport{
		Proxy:                  nil,
		DialContext:            g.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.RootCAs},
		TLSHandshakeTimeout:    handshakeTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}
	return &http.Client{Transport: &g, Timeout: o.Timeout, CheckRedirect: checkRedirect}
}

// guard is the transport: it looks at each request, redirected ones too, and at each address.
type guard struct {
	options Options
	dialer  net.Dialer
	next    *http.Transport
}

// CloseIdleConnections serves [http.Client.CloseIdleConnections].
func (g *guard) CloseIdleConnections() { g.next.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if !g.allowed(r.URL) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, ErrForbiddenURL
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.ContentLength > g.options.MaxBody && r.Method != http.MethodHead {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%d bytes: %w", resp.ContentLength, ErrTooLarge)
	}
	resp.Body = &capped{ReadCloser: resp.Body, left: g.options.MaxBody}
	return resp, nil
}

func (g *guard) allowed(u *url.URL) bool {
	switch u.Scheme {
	case "https":
		return u.Host != ""
	case "http":
		if !g.options.AllowLoopback {
			return false
		}
		host := u.Hostname()
		ip, err := netip.ParseAddr(host)
		return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
	default:
		return false
	}
}

// dial resolves the name itself: one forbidden address among several refuses them all, because which of them is
// dialled is chance. The dialer looks at the address once more, so that nothing comes between.
func (g *guard) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	ips, err := g.options.Resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	for _, ip := range ips {
		if err := permit(ip, g.options.AllowLoopback); err != nil {
			return nil, err
		}
	}
	err = fmt.Errorf("dial: %s has no address: %w", host, ErrForbiddenAddress)
	for _, ip := range ips {
		var conn net.Conn
		if conn, err = g.dialer.DialContext(ctx, network, net.JoinHostPort(ip.Unmap().String(), port)); err == nil {
			return conn, nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, err
}

// harmless are the request headers that may follow to another host. What is not here may be a credential.
var harmless = []string{"Accept", "Accept-Language", "Range", "User-Agent"}

func checkRedirect(r *http.Request, via []*http.Request) error {
	if m := via[0].Method; m != http.MethodGet && m != http.MethodHead {
		return http.ErrUseLastResponse // what was posted goes where it was sent, and nowhere else
	}
	if len(via) > maxRedirects {
		return ErrRedirects
	}
	r.Header.Del("Referer") // the URL may be a secret
	for _, before := range via {
		if before.URL.Scheme != r.URL.Scheme || !strings.EqualFold(before.URL.Host, r.URL.Host) {
			kept := http.Header{}
			for _, name := range harmless {
				if v := r.Header.Values(name); len(v) > 0 {
					kept[name] = v
				}
			}
			r.Header = kept //nolint:gosec // it holds the harmless ones alone
			break
		}
	}
	return nil
}

// capped fails where a body goes on after so many bytes.
type capped struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader.
func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > c.left+1 {
		p = p[:c.left+1]
	}
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	if c.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
