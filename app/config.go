// Package app puts the program together: configuration in, a running gateway out. It is the only package that knows
// every other one.
package app

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"omniservice/hub/redisbus"
	"omniservice/internal/seal"
	"omniservice/omni"
)

// Config is everything that can be set. Each field is an environment variable and, unless it is secret, a flag.
type Config struct {
	Addr           string        `name:"addr" env:"OMNI_ADDR" default:":8080" help:"Where console, widget, API, sockets and webhooks are served."`
	OpsAddr        string        `name:"ops-addr" env:"OMNI_OPS_ADDR" default:"127.0.0.1:8081" help:"Where health, readiness and metrics are served. Keep it private."`
	PublicURL      string        `name:"public-url" env:"OMNI_PUBLIC_URL" help:"Scheme and host under which the world reaches OMNI_ADDR, such as https://chat.example.com. Webhook signatures cover it. Empty: http://localhost with the port of OMNI_ADDR."`
	MediaURL       string        `name:"media-url" env:"OMNI_MEDIA_URL" help:"Another scheme and host that reach OMNI_ADDR too, such as https://media.example.net: the console then gets contacts' files from there, and from there alone. Empty: from the public URL."`
	DataDir        string        `name:"data-dir" env:"OMNI_DATA_DIR" default:"./data" type:"path" help:"Folder of the embedded store, of contacts' files and of the secret key. Made if it is not there, for this user only."`
	AllowedOrigins []string      `name:"allowed-origins" env:"OMNI_ALLOWED_ORIGINS" help:"Further origins whose pages may use API and sockets, beside the public URL: comma-separated, such as https://crm.example.com. No *."`
	TrustedProxies []string      `name:"trusted-proxies" env:"OMNI_TRUSTED_PROXIES" help:"Networks of proxies in front, such as 10.0.0.0/8: comma-separated. Only their X-Forwarded-For is believed."`
	LogLevel       string        `name:"log-level" env:"OMNI_LOG_LEVEL" default:"info" enum:"debug,info,warn,error" help:"debug, info, warn or error."`
	DrainTime      time.Duration `name:"drain-time" env:"OMNI_DRAIN_TIME" default:"15s" help:"How long a stop takes to close sockets in batches, at most."`
	Pprof          bool          `name:"pprof" env:"OMNI_PPROF" help:"Serve /debug/pprof on OMNI_OPS_ADDR."`
	Demo           bool          `name:"demo" env:"OMNI_DEMO" help:"Create an organisation with a demo website and a simulator, and print a login link. Never in production."`
	CarrierAPIBase []string      `name:"carrier-api-base" env:"OMNI_CARRIER_API_BASE" hidden:"" help:"Carrier=http://127.0.0.1:port: use a local double of a carrier's API. Loopback addresses only."`

	// SecretKey is OMNI_SECRET_KEY, or the content of the file that OMNI_SECRET_KEY_FILE names: 32 bytes as hex or
	// base64. Several, comma-separated: the first seals and signs, the others still open and verify. Empty: made at the
	// first start and kept in DataDir.
	SecretKey omni.Secret `kong:"-"`

	// MongoURI is OMNI_MONGO_URI, or the content of the file that OMNI_MONGO_URI_FILE names: where the store is, with its
	// password. Empty: the embedded store in DataDir.
	MongoURI omni.Secret `kong:"-"`

	// RedisURL is OMNI_REDIS_URL, or the content of the file that OMNI_REDIS_URL_FILE names: where nodes meet. It may
	// hold a password. Forms are those of redisbus.New. Empty: the bus is in this process, and this node runs alone.
	RedisURL omni.Secret `kong:"-"`
}

// ReadSecrets fills in what comes from the environment or from files only.
func (c *Config) ReadSecrets(getenv func(string) string) error {
	var errs [3]error
	c.SecretKey, errs[0] = ReadSecret(getenv, "OMNI_SECRET_KEY")
	c.MongoURI, errs[1] = ReadSecret(getenv, "OMNI_MONGO_URI")
	c.RedisURL, errs[2] = ReadSecret(getenv, "OMNI_REDIS_URL")
	return errors.Join(errs[:]...)
}

// ReadSecret reads a variable, or the file that the variable with _FILE behind its name names.
func ReadSecret(getenv func(string) string, name string) (omni.Secret, error) {
	value, file := getenv(name), getenv(name+"_FILE")
	switch {
	case value != "" && file != "":
		return omni.Secret{}, fmt.Errorf("%s and %[1]s_FILE are both set: set one", name)
	case file != "":
		b, err := os.ReadFile(file) // #nosec G304,G703 -- the operator names the file
		if err != nil {
			return omni.Secret{}, fmt.Errorf("%s_FILE: %w", name, err)
		}
		value = strings.TrimSpace(string(b))
	}
	return omni.NewSecret(value), nil
}

// Validate fills in defaults that depend on other fields, and reports everything that is wrong at once.
func (c *Config) Validate() error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }

	_, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		bad("OMNI_ADDR %q must be host:port, such as :8080", c.Addr)
	}
	if _, _, err := net.SplitHostPort(c.OpsAddr); err != nil {
		bad("OMNI_OPS_ADDR %q must be host:port, such as 127.0.0.1:8081", c.OpsAddr)
	} else if c.OpsAddr == c.Addr && port != "0" {
		bad("OMNI_OPS_ADDR must not be OMNI_ADDR: health and metrics are not for the public")
	}
	if c.PublicURL == "" && port != "0" {
		c.PublicURL = "http://localhost:" + port
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	if c.PublicURL != "" {
		if err := checkOrigin("OMNI_PUBLIC_URL", c.PublicURL); err != nil {
			problems = append(problems, err)
		}
	}
	c.MediaURL = strings.TrimSuffix(c.MediaURL, "/")
	if c.MediaURL != "" {
		if err := checkOrigin("OMNI_MEDIA_URL", c.MediaURL); err != nil {
			problems = append(problems, err)
		}
		if c.MediaURL == c.PublicURL {
			bad("OMNI_MEDIA_URL must be another host than OMNI_PUBLIC_URL, or empty")
		}
	}
	for _, o := range c.AllowedOrigins {
		if !omni.ValidOrigin(o) {
			bad("OMNI_ALLOWED_ORIGINS: %q must be an origin such as https://crm.example.com, without path and without *", o)
		}
	}
	for _, n := range c.TrustedProxies {
		if _, err := netip.ParsePrefix(n); err != nil {
			if _, err := netip.ParseAddr(n); err != nil {
				bad("OMNI_TRUSTED_PROXIES: %q must be a network such as 10.0.0.0/8 or an address", n)
			}
		}
	}
	if !c.MongoURI.IsZero() {
		problems = append(problems, checkMongoURI(c.MongoURI.Reveal()))
		if c.SecretKey.IsZero() {
			bad("OMNI_SECRET_KEY must be set with OMNI_MONGO_URI: every node needs the same one, and one that is made in a data directory is lost with it")
		}
	}
	if !c.RedisURL.IsZero() {
		if err := redisbus.CheckURL(c.RedisURL.Reveal()); err != nil {
			bad("OMNI_REDIS_URL: %w", err)
		}
	}
	if c.DataDir == "" {
		bad("OMNI_DATA_DIR must name a folder")
	}
	if _, err := c.carrierAPIBase(); err != nil {
		problems = append(problems, err)
	}
	if !c.SecretKey.IsZero() {
		if _, err := parseKeys(c.SecretKey.Reveal()); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}

// checkOrigin wants https, except on loopback: tokens and signatures must not travel in the clear.
func checkOrigin(name, s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%s %q must be scheme and host, such as https://chat.example.com", name, s)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%s %q must begin with https:// (http is for localhost only)", name, s)
}

// mongoURI is what of a MongoDB connection string can be checked without a server. (net/url does not read lists of hosts.)
type mongoURI struct {
	user, password bool
	hosts          []string
	options        url.Values
	srv            bool
}

func parseMongoURI(s string) (u mongoURI, ok bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "mongodb" && scheme != "mongodb+srv" {
		return u, false
	}
	u.srv = scheme == "mongodb+srv"
	rest, query, _ := strings.Cut(rest, "?")
	rest, _, _ = strings.Cut(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		u.user, u.password, rest = user != "", password != "", rest[at+1:]
	}
	var err error
	if u.options, err = url.ParseQuery(query); err != nil || rest == "" {
		return u, false
	}
	u.hosts = strings.Split(rest, ",")
	return u, true
}

// local says whether all servers are on this machine.
func (u mongoURI) local() bool {
	for _, h := range u.hosts {
		host, _, err := net.SplitHostPort(h)
		if err != nil {
			host = h
		}
		if !isLoopback(strings.Trim(host, "[]")) {
			return false
		}
	}
	return !u.srv
}

// encrypted says whether connections are.
func (u mongoURI) encrypted() bool {
	for name, values := range u.options {
		if n := strings.ToLower(name); (n == "tls" || n == "ssl") && len(values) > 0 {
			return values[0] == "true"
		}
	}
	return u.srv
}

// checkMongoURI wants a user with a password wherever the store is not on this machine (rule K7). It repeats nothing of
// the URI, which holds that password.
func checkMongoURI(s string) error {
	u, ok := parseMongoURI(s)
	if !ok {
		return errors.New("OMNI_MONGO_URI must be like mongodb://user:password@host:27017/omniservice?replicaSet=rs0&tls=true, or mongodb+srv://…")
	}
	certificate := false
	for name, values := range u.options {
		certificate = certificate || strings.ToLower(name) == "authmechanism" && slices.Contains([]string{"MONGODB-X509", "MONGODB-AWS", "MONGODB-OIDC", "GSSAPI"}, values[0])
	}
	if !u.local() && !certificate && (!u.user || !u.password) {
		return errors.New("OMNI_MONGO_URI must hold a user and a password: without, only a server on this machine is used")
	}
	return nil
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func (c *Config) carrierAPIBase() (map[omni.CarrierName]string, error) {
	m := map[omni.CarrierName]string{}
	for _, pair := range c.CarrierAPIBase {
		name, base, ok := strings.Cut(pair, "=")
		u, err := url.Parse(base)
		if !ok || err != nil || !omni.CarrierName(name).Valid() || !isLoopback(u.Hostname()) {
			return nil, fmt.Errorf("OMNI_CARRIER_API_BASE: %q must be Carrier=http://127.0.0.1:port", pair)
		}
		m[omni.CarrierName(name)] = strings.TrimSuffix(base, "/")
	}
	return m, nil
}

func (c *Config) level() slog.Level {
	var l slog.Level
	_ = l.UnmarshalText([]byte(c.LogLevel)) // checked by the flag's enum; else info
	return l
}

// Names in the data directory.
const (
	storeName    = "omniservice.db"
	keyName      = "secret.key"
	mediaName    = "media"
	uploadsName  = "_uploads" // in the media folder, which nodes share; no organisation has such an id
	spoolName    = "spool"
	accountsName = "accounts.sealed"
)

// keyring opens the configured key, or the one in the data directory, which it makes at the first start.
func (c *Config) keyring() (*seal.Keyring, error) {
	text := c.SecretKey.Reveal()
	if text == "" {
		var err error
		if text, err = keyFile(filepath.Join(c.DataDir, keyName)); err != nil {
			return nil, err
		}
	}
	return keyringOf(text)
}

// keyringOf is the keyring of keys as they are configured.
func keyringOf(text string) (*seal.Keyring, error) {
	keys, err := parseKeys(text)
	if err != nil {
		return nil, err
	}
	byID := make(map[string][]byte, len(keys))
	for _, k := range keys {
		byID[keyID(k)] = k
	}
	return seal.New(keyID(keys[0]), byID)
}

// keyID names a key without telling anything of it.
func keyID(key []byte) string {
	sum := sha256.Sum256(append([]byte("omniservice key id "), key...))
	return hex.EncodeToString(sum[:4])
}

func parseKeys(text string) ([][]byte, error) {
	var keys [][]byte
	for s := range strings.SplitSeq(text, ",") {
		s = strings.TrimSpace(s)
		key, err := hex.DecodeString(s)
		if err != nil {
			key, err = base64.StdEncoding.DecodeString(s)
		}
		if err != nil || len(key) != seal.KeySize {
			return nil, errors.New("OMNI_SECRET_KEY must be 32 random bytes as 64 hex digits or as base64: make one with `openssl rand -hex 32`")
		}
		if strings.Count(string(key), string(key[:1])) == len(key) {
			return nil, errors.New("OMNI_SECRET_KEY must be random: make one with `openssl rand -hex 32`")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keyFile reads the key at path, or makes it. Two programs that begin at once end up with the same key.
func keyFile(path string) (string, error) {
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key)
	tmp, err := os.CreateTemp(filepath.Dir(path), ".secret-*")
	if err != nil {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	defer func() { _ = os.Remove(tmp.Name()) }()
	_, err = tmp.WriteString(hex.EncodeToString(key) + "\n")
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("make secret key: %w", err)
	}
	b, err := os.ReadFile(path) // #nosec G304 -- in the operator's data directory
	if err != nil {
		return "", fmt.Errorf("read secret key: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}
