package redisbus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"omniservice/omni"
)

type kind int

const (
	single kind = iota
	sentinel
	cluster
)

// target is where Redis is and how to get in.
type target struct {
	kind               kind
	network            string
	addrs              []string // of servers, or of Sentinels
	username, password string
	db                 int
	master             string // its name at the Sentinels
	sentinelUsername   string
	sentinelPassword   string
	prefix             string
	tls                *tls.Config
}

// CheckURL says what is wrong with a URL for New, without repeating it: it may hold a password.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

var ports = map[kind]string{single: "6379", sentinel: "26379", cluster: "6379"}

// parseURL reads the forms that New lists.
func parseURL(raw string) (target, error) {
	bad := func(format string, args ...any) error { return omni.Problemf(omni.ErrInvalid, format, args...) }
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return target{}, bad("the URL must begin with redis://, rediss:// (TLS), redis+sentinel://, redis+cluster:// or unix://")
	}
	t := target{network: "tcp", prefix: "omni"}
	secure := strings.HasPrefix(scheme, "rediss")
	switch strings.Replace(scheme, "rediss", "redis", 1) {
	case "redis":
	case "unix":
		t.network = "unix"
	case "redis+sentinel":
		t.kind = sentinel
	case "redis+cluster":
		t.kind = cluster
	default:
		return target{}, bad("the URL must begin with redis://, rediss:// (TLS), redis+sentinel://, redis+cluster:// or unix://")
	}
	// Several hosts are more than net/url takes: the first stands for all.
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	hosts := rest[strings.LastIndexByte(rest[:end], '@')+1 : end]
	first, others, _ := strings.Cut(hosts, ",")
	u, err := url.Parse("redis://" + rest[:end-len(hosts)] + first + rest[end:])
	if err != nil || u.Fragment != "" {
		return target{}, bad("the URL cannot be read: are all special characters of the password written as %%XX?")
	}
	t.username = u.User.Username()
	t.password, _ = u.User.Password()
	q := u.Query()
	db := strings.Trim(u.Path, "/")
	if t.network == "unix" {
		if hosts != "" || u.Path == "" {
			return target{}, bad("a unix URL must hold a path alone, such as unix:///run/redis.sock")
		}
		t.addrs, db = []string{u.Path}, ""
	} else {
		for h := range strings.SplitSeq(strings.TrimSuffix(first+","+others, ","), ",") {
			a, err := hostPort(h, ports[t.kind])
			if err != nil {
				return target{}, bad("the URL must name host:port, several of them comma-separated")
			}
			t.addrs = append(t.addrs, a)
		}
		if t.kind == single && len(t.addrs) > 1 {
			return target{}, bad("several hosts need redis+sentinel:// or redis+cluster://")
		}
	}
	take := func(name string) string {
		v := q.Get(name)
		q.Del(name)
		return v
	}
	if v := take("db"); v != "" {
		db = v
	}
	if db != "" {
		if t.db, err = strconv.Atoi(db); err != nil || t.db < 0 {
			return target{}, bad("the database of the URL must be a number, such as /0")
		}
	}
	if t.kind == cluster && t.db != 0 {
		return target{}, bad("a Cluster has no databases: leave out /%d, use ?prefix= to keep two installations apart", t.db)
	}
	t.master, t.sentinelUsername, t.sentinelPassword = take("master"), take("sentinel_username"), take("sentinel_password")
	if (t.kind == sentinel) != (t.master != "") {
		return target{}, bad("?master= names the master that the Sentinels watch: redis+sentinel:// needs it, others have none")
	}
	if v := take("prefix"); v != "" {
		if strings.ContainsAny(v, "{}* \r\n") {
			return target{}, bad("?prefix= must not hold braces, stars or spaces")
		}
		t.prefix = v
	}
	if t.tls, err = readTLS(secure, take("ca"), take("cert"), take("key"), take("server_name")); err != nil {
		return target{}, err
	}
	for name := range q {
		return target{}, bad("the URL has an option %q that there is not", name)
	}
	if t.db != 0 { // channels know no databases
		t.prefix += "." + strconv.Itoa(t.db)
	}
	return t, nil
}

func hostPort(s, port string) (string, error) {
	if s == "" {
		return "", errors.New("no host")
	}
	if host, p, err := net.SplitHostPort(s); err == nil {
		if _, err := strconv.ParseUint(p, 10, 16); err != nil || host == "" {
			return "", errors.New("no port")
		}
		return s, nil
	}
	if strings.Contains(s, ":") && !strings.HasPrefix(s, "[") {
		return "", errors.New("no port")
	}
	return net.JoinHostPort(strings.Trim(s, "[]"), port), nil
}

func readTLS(secure bool, ca, cert, key, serverName string) (*tls.Config, error) {
	if !secure {
		if ca+cert+key+serverName != "" {
			return nil, omni.Problemf(omni.ErrInvalid, "ca, cert, key and server_name need rediss://")
		}
		return nil, nil //nolint:nilnil // no TLS, no problem
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: serverName}
	if ca != "" {
		pem, err := os.ReadFile(ca) // #nosec G304 -- the operator names the file
		if err != nil {
			return nil, fmt.Errorf("certificates of ?ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, omni.Problemf(omni.ErrInvalid, "the file of ?ca= holds no certificate")
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("?cert= and ?key=: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}

// dialer opens connections to servers and Sentinels, with TLS where the URL says so.
func (t target) dialer(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		// What a closed connection has not sent must not arrive later: it may have been published again by then.
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		if t.tls == nil {
			return conn, nil
		}
		return handshakeTLS(ctx, conn, addr, t.tls)
	}
}

func handshakeTLS(ctx context.Context, conn net.Conn, addr string, c *tls.Config) (net.Conn, error) {
	if c.ServerName == "" {
		c = c.Clone()
		c.ServerName, _, _ = net.SplitHostPort(addr)
	}
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secure, nil
}
