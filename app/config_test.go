package app

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

const goodKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func good(t *testing.T) Config {
	t.Helper()
	return Config{Addr: ":8080", OpsAddr: "127.0.0.1:8081", DataDir: t.TempDir(), LogLevel: "info"}
}

func TestConfigReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	c := Config{
		Addr: "8080", OpsAddr: "nowhere", PublicURL: "http://chat.example.com", AllowedOrigins: []string{"*"},
		TrustedProxies: []string{"everybody"}, MongoURI: omni.NewSecret("mongodb://user:hidden@"), RedisURL: omni.NewSecret("redis://u:hunter2@h/x"),
		CarrierAPIBase: []string{"Twilio=https://api.twilio.com"}, SecretKey: omni.NewSecret("short"),
	}
	err := c.Validate()
	require.Error(t, err)
	for _, part := range []string{
		"OMNI_ADDR", "OMNI_OPS_ADDR", "OMNI_PUBLIC_URL", "OMNI_ALLOWED_ORIGINS", "OMNI_TRUSTED_PROXIES", "OMNI_MONGO_URI",
		"OMNI_REDIS_URL", "OMNI_CARRIER_API_BASE", "OMNI_SECRET_KEY", "OMNI_DATA_DIR",
	} {
		require.ErrorContains(t, err, part)
	}
	for _, secret := range []string{"short", "hidden", "hunter2"} {
		require.NotContains(t, err.Error(), secret, "a secret is not repeated")
	}
}

func TestSec_B5_UnsafeConfigurationStopsTheStart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"http in public":         {func(c *Config) { c.PublicURL = "http://chat.example.com" }, "https://"},
		"path in the public URL": {func(c *Config) { c.PublicURL = "https://chat.example.com/x" }, "OMNI_PUBLIC_URL"},
		"files over http":        {func(c *Config) { c.MediaURL = "http://media.example.com" }, "OMNI_MEDIA_URL"},
		"files from the console's origin": {func(c *Config) {
			c.PublicURL, c.MediaURL = "https://chat.example.com", "https://chat.example.com/"
		}, "OMNI_MEDIA_URL"},
		"every origin":  {func(c *Config) { c.AllowedOrigins = []string{"*"} }, "OMNI_ALLOWED_ORIGINS"},
		"short key":     {func(c *Config) { c.SecretKey = omni.NewSecret("abcd") }, "openssl rand"},
		"constant key":  {func(c *Config) { c.SecretKey = omni.NewSecret(strings.Repeat("00", 32)) }, "random"},
		"ops in public": {func(c *Config) { c.OpsAddr = c.Addr }, "OMNI_OPS_ADDR"},
	} {
		cfg := good(t)
		c.change(&cfg)
		require.ErrorContains(t, cfg.Validate(), c.want, name)
	}
	for _, ok := range []string{"", "https://chat.example.com", "http://localhost:8080", "http://127.0.0.1:9", "https://chat.example.com/"} {
		cfg := good(t)
		cfg.PublicURL = ok
		require.NoError(t, cfg.Validate(), ok)
		require.False(t, strings.HasSuffix(cfg.PublicURL, "/"))
	}
}

func TestSec_K7_MongoURI(t *testing.T) {
	t.Parallel()
	for uri, c := range map[string]struct{ problem, encrypted bool }{
		"mongodb://localhost:27017":                                      {false, false},
		"mongodb://127.0.0.1:27017,[::1]:27018/omniservice?replicaSet=a": {false, false},
		"mongodb://user:secret@db-1:27017,db-2:27017/omni?TLS=true":      {false, true},
		"mongodb://user:secret@db.example.com/?tls=false":                {false, false},
		"mongodb+srv://user:secret@cluster.example.com/omni":             {false, true},
		"mongodb://db.example.com/?authMechanism=MONGODB-X509&tls=true":  {false, true},
		"mongodb://db.example.com":                                       {true, false},
		"mongodb://localhost,db.example.com":                             {true, false},
		"mongodb://user@db.example.com":                                  {true, false},
		"mongodb://user:@db.example.com":                                 {true, false},
		"mongodb+srv://cluster.example.com":                              {true, true},
		"mongodb://":                                                     {true, false},
		"mongodb://user:secret@/x":                                       {true, false},
		"postgres://user:secret@localhost":                               {true, false},
		"mongodb://user:secret@localhost/?%zz":                           {true, false},
		"user:secret@localhost":                                          {true, false},
	} {
		cfg := good(t)
		cfg.SecretKey, cfg.MongoURI = omni.NewSecret(goodKey), omni.NewSecret(uri)
		err := cfg.Validate()
		if !c.problem {
			require.NoError(t, err, uri)
			u, ok := parseMongoURI(uri)
			require.True(t, ok)
			require.Equal(t, c.encrypted, u.encrypted(), uri)
			cfg.SecretKey = omni.Secret{}
			require.ErrorContains(t, cfg.Validate(), "OMNI_SECRET_KEY", uri)
			continue
		}
		require.ErrorContains(t, err, "OMNI_MONGO_URI", uri)
		require.NotContains(t, err.Error(), "secret", "nothing of the URI is repeated")
	}
}

func TestSecretComesFromVariableOrFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(file, []byte(goodKey+"\n"), 0o600))
	read := func(env map[string]string) (Config, error) {
		c := good(t)
		err := c.ReadSecrets(func(k string) string { return env[k] })
		return c, err
	}
	c, err := read(map[string]string{"OMNI_SECRET_KEY_FILE": file})
	require.NoError(t, err)
	require.Equal(t, goodKey, c.SecretKey.Reveal())
	_, err = read(map[string]string{"OMNI_SECRET_KEY_FILE": file, "OMNI_SECRET_KEY": goodKey})
	require.ErrorContains(t, err, "both set")
	_, err = read(map[string]string{"OMNI_SECRET_KEY_FILE": file + "x"})
	require.ErrorContains(t, err, "OMNI_SECRET_KEY_FILE")
	c, err = read(map[string]string{"OMNI_MONGO_URI_FILE": file})
	require.NoError(t, err)
	require.Equal(t, goodKey, c.MongoURI.Reveal())
	require.NoError(t, os.WriteFile(file, []byte("rediss://:p@redis.example.com\n"), 0o600))
	c, err = read(map[string]string{"OMNI_REDIS_URL_FILE": file, "OMNI_SECRET_KEY": goodKey})
	require.NoError(t, err)
	require.Equal(t, "rediss://:p@redis.example.com", c.RedisURL.Reveal())
	require.Equal(t, goodKey, c.SecretKey.Reveal())
	require.NoError(t, c.Validate())
}

func TestSec_A6_KeysRotate(t *testing.T) {
	t.Parallel()
	old := good(t)
	old.SecretKey = omni.NewSecret(goodKey)
	before, err := old.keyring()
	require.NoError(t, err)
	id, nonce, sealed, err := before.Seal([]byte("token"), nil)
	require.NoError(t, err)

	raw, err := hex.DecodeString(goodKey)
	require.NoError(t, err)
	raw[0] = 99
	next := good(t)
	next.SecretKey = omni.NewSecret(base64.StdEncoding.EncodeToString(raw) + ", " + goodKey)
	require.NoError(t, next.Validate())
	after, err := next.keyring()
	require.NoError(t, err)
	require.NotEqual(t, id, after.CurrentID())
	plain, err := after.Open(id, nonce, sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "token", string(plain))
}

func TestFirstStartMakesAKeyAndKeepsIt(t *testing.T) {
	t.Parallel()
	c := good(t)
	first, err := c.keyring()
	require.NoError(t, err)
	second, err := c.keyring()
	require.NoError(t, err)
	require.Equal(t, first.CurrentID(), second.CurrentID())
	info, err := os.Stat(filepath.Join(c.DataDir, "secret.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	entries, err := os.ReadDir(c.DataDir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
