package app

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/sqlitestore"
)

// healthy is the configuration of a gateway that has run and ended well.
func healthy(t *testing.T) Config {
	t.Helper()
	c := good(t)
	c.PublicURL, c.Addr, c.OpsAddr, c.DataDir = "https://chat.example.com", "127.0.0.1:0", "127.0.0.1:0", filepath.Join(c.DataDir, "data")
	a, err := New(t.Context(), c, Options{Version: "test", LogTo: io.Discard})
	require.NoError(t, err)
	a.close()
	return c
}

func finding(t *testing.T, r Report, check string) Finding {
	t.Helper()
	for _, f := range r.Findings {
		if f.Check == check {
			return f
		}
	}
	require.Fail(t, "no finding", "%s in %+v", check, r.Findings)
	return Finding{}
}

// inSpool puts a file with three bytes into the folder of the spool.
func inSpool(t *testing.T, c Config, name string) {
	t.Helper()
	dir := filepath.Join(c.DataDir, spoolName)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("abc"), 0o600))
}

func TestDoctorFindsNothingWrong(t *testing.T) {
	t.Parallel()
	c := healthy(t)
	r := Doctor(t.Context(), c, "test", time.Now())
	require.True(t, r.Healthy)
	for _, f := range r.Findings {
		require.Equal(t, StateOK, f.State, "%+v", f)
		require.Empty(t, f.Advice)
		require.NotEmpty(t, f.Detail)
	}
	for _, check := range []string{"configuration", "public URL", "data directory", "free disk", "store", "schema", "indexes", "inbox", "outbox", "leases", "deliveries", "search", "secret key", "files"} {
		finding(t, r, check)
	}
}

func TestDoctorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	db := func(c Config) string { return filepath.Join(c.DataDir, storeName) }
	inStore := func(t *testing.T, c Config, do func(st store.Store)) {
		t.Helper()
		st, err := OpenStore(t.Context(), c)
		require.NoError(t, err)
		do(st)
		require.NoError(t, st.Close())
	}
	now := time.Now()
	for name, c := range map[string]struct {
		change func(t *testing.T, c *Config)
		check  string
		state  State
		says   string
		advice string
	}{
		"no data directory": {
			func(_ *testing.T, c *Config) { c.DataDir += "-other" },
			"data directory", StateProblem, "not there", "--data-dir",
		},
		"no store": {
			func(t *testing.T, c *Config) { require.NoError(t, os.Remove(db(*c))) },
			"store", StateProblem, "no store", "omniservice migrate",
		},
		"damaged store": {
			func(t *testing.T, c *Config) {
				require.NoError(t, os.WriteFile(db(*c), []byte(strings.Repeat("my diary ", 1000)), 0o600))
			},
			"store", StateProblem, "not a database", "restore a backup",
		},
		"open to others": {
			func(t *testing.T, c *Config) { require.NoError(t, os.Chmod(db(*c), 0o644)) },
			"store", StateProblem, "0644", "chmod",
		},
		"an open folder": {
			func(t *testing.T, c *Config) { require.NoError(t, os.Chmod(c.DataDir, 0o755)) },
			"data directory", StateProblem, "0755", "chmod",
		},
		"an open key": {
			func(t *testing.T, c *Config) { require.NoError(t, os.Chmod(filepath.Join(c.DataDir, keyName), 0o640)) },
			"secret key", StateProblem, "0640", "chmod",
		},
		"another key": {
			func(_ *testing.T, c *Config) { c.SecretKey = omni.NewSecret(strings.Repeat("fedcba9876543210", 4)) },
			"secret key", StateProblem, "another one", "OMNI_SECRET_KEY",
		},
		"no key": {
			func(t *testing.T, c *Config) { require.NoError(t, os.Remove(filepath.Join(c.DataDir, keyName))) },
			"secret key", StateProblem, "there is none", "OMNI_SECRET_KEY",
		},
		"local address": {
			func(_ *testing.T, c *Config) { c.PublicURL = "http://localhost:8080" },
			"public URL", StateWarning, "this machine alone", "OMNI_PUBLIC_URL",
		},
		"bad setting": {
			func(_ *testing.T, c *Config) { c.PublicURL = "http://chat.example.com" },
			"configuration", StateProblem, "https://", "serve --help",
		},
		"unfinished import": {
			func(t *testing.T, c *Config) {
				inStore(t, *c, func(st store.Store) {
					require.NoError(t, st.SetMarker(t.Context(), markerImport, []byte(`{"id":"x"}`)))
				})
			},
			"import", StateProblem, "not finished", "omniservice import",
		},
		"webhooks that wait": {
			func(t *testing.T, c *Config) {
				inStore(t, *c, func(st store.Store) {
					require.NoError(t, st.PutInbox(t.Context(), store.InboxRecord{ID: omni.NewID(), ReceivedAt: omni.MillisOf(now.Add(-time.Hour))}))
				})
			},
			"inbox", StateProblem, "1 wait", "start a gateway",
		},
		"webhooks in the spool": {
			func(t *testing.T, c *Config) { inSpool(t, *c, "00000000000000000001.spool") },
			"spool", StateWarning, "3 B of webhooks wait", "running gateway",
		},
		"a damaged spool": {
			func(t *testing.T, c *Config) { inSpool(t, *c, "00000000000000000001-0.damaged") },
			"spool", StateWarning, "1 damaged", "look at the disk",
		},
		"an open spool": {
			func(t *testing.T, c *Config) {
				inSpool(t, *c, "position")
				require.NoError(t, os.Chmod(filepath.Join(c.DataDir, spoolName), 0o750))
			},
			"spool", StateProblem, "0750", "chmod",
		},
		"deliveries that wait": {
			func(t *testing.T, c *Config) {
				inStore(t, *c, func(st store.Store) {
					at := omni.MillisOf(now.Add(-2 * time.Hour))
					require.NoError(t, st.PutDeliveries(t.Context(), omni.Org("o"), omni.WebhookDelivery{
						ID: omni.NewID(), Tenant: omni.Org("o"), WebhookID: "hook", State: omni.DeliveryPending, CreatedAt: at, NotBefore: at,
						ExpiresAt: omni.MillisOf(now.Add(time.Hour)),
					}))
				})
			},
			"deliveries", StateWarning, "1 wait, 1 of them after a failure", "receivers",
		},
		"webhooks set aside": {
			func(t *testing.T, c *Config) {
				inStore(t, *c, func(st store.Store) {
					require.NoError(t, st.PutAside(t.Context(), store.SetAside{
						Record: store.InboxRecord{ID: omni.NewID()}, At: omni.MillisOf(now), ExpiresAt: omni.MillisOf(now.Add(time.Hour)),
					}))
				})
			},
			"set_aside", StateWarning, "1 wait", "play them again",
		},
		"dead leases": {
			func(t *testing.T, c *Config) {
				inStore(t, *c, func(st store.Store) {
					_, err := st.AcquireLock(t.Context(), "inbox/1", "node", omni.MillisOf(now.Add(-time.Minute)), 15*time.Second)
					require.NoError(t, err)
				})
			},
			"leases", StateWarning, "1 have run out", "start a gateway",
		},
		"being restored": {
			func(t *testing.T, c *Config) {
				alone, err := sqlitestore.Exclusive(db(*c))
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, alone.Close()) })
			},
			"store", StateProblem, "in use", "wait",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := healthy(t)
			c.change(t, &cfg)
			r := Doctor(t.Context(), cfg, "test", now)
			f := finding(t, r, c.check)
			require.Equal(t, c.state, f.State, "%+v", f)
			require.Contains(t, f.Detail, c.says)
			require.Contains(t, f.Advice, c.advice)
			require.Equal(t, c.state != StateProblem, r.Healthy, "%+v", r.Findings)
		})
	}
}

func TestMigrateMakesAStore(t *testing.T) {
	t.Parallel()
	c := embedded(t)
	m, err := Migrate(t.Context(), c, time.Now())
	require.NoError(t, err)
	require.Zero(t, m.Before)
	require.Positive(t, m.After)
	require.Empty(t, m.Differences)
	again, err := Migrate(t.Context(), c, time.Now())
	require.NoError(t, err)
	require.Equal(t, Migrated{Before: m.After, After: m.After}, again)
	_, err = Migrate(t.Context(), Config{DataDir: "/dev/null/x"}, time.Now())
	require.Error(t, err)
}

// A gateway does not start on a store that is another key's, or half imported.
func TestStartNeedsAStoreThatIsReady(t *testing.T) {
	t.Parallel()
	c := healthy(t)
	other := c
	other.SecretKey = omni.NewSecret(strings.Repeat("fedcba9876543210", 4))
	_, err := New(t.Context(), other, Options{Version: "test", LogTo: io.Discard})
	require.ErrorIs(t, err, errWrongKey)

	st, err := OpenStore(t.Context(), c)
	require.NoError(t, err)
	require.NoError(t, st.SetMarker(t.Context(), markerImport, []byte(`{}`)))
	require.NoError(t, st.Close())
	_, err = New(t.Context(), c, Options{Version: "test", LogTo: io.Discard})
	require.ErrorContains(t, err, "not finished")
}

func TestSizesAreReadable(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1 << 62: "4.0 EiB"} {
		require.Equal(t, want, bytesText(n), fmt.Sprint(n))
	}
}

func TestDoctorTriesCarrierAccounts(t *testing.T) {
	t.Parallel()
	c := healthy(t)
	now := omni.MillisOf(time.Now())
	st, err := OpenStore(t.Context(), c)
	require.NoError(t, err)
	org := omni.Organisation{ID: omni.NewID(), Name: "Acme", Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema}
	require.NoError(t, st.CreateOrganisation(t.Context(), org))
	account := func(name string, disabled bool) omni.CarrierAccount {
		a := omni.CarrierAccount{
			ID: omni.NewID(), Tenant: omni.Org(org.ID), PublicID: omni.NewToken(16), Carrier: omni.CarrierTwilio, Name: name,
			Config: map[string]string{}, Disabled: disabled, Version: 1, CreatedAt: now, SchemaVersion: omni.CurrentSchema,
		}
		require.NoError(t, st.CreateCarrierAccount(t.Context(), omni.Org(org.ID), a))
		return a
	}
	bad, _ := account("Main", false), account("Old", true)
	account("Bandwidth (played here)", false)
	require.NoError(t, st.SetMarker(t.Context(), "health/"+bad.ID, []byte(`{"misconfiguredRow":3,"misconfiguredCode":"20003"}`)))
	require.NoError(t, st.Close())

	r := Doctor(t.Context(), c, "test", time.Now())
	require.False(t, r.Healthy)
	f := finding(t, r, "account Main (Twilio)")
	require.Equal(t, StateProblem, f.State)
	require.Contains(t, f.Detail, "20003")
	require.Contains(t, f.Advice, "/check")
	f = finding(t, r, "account Main (Twilio): settings")
	require.Equal(t, StateProblem, f.State)
	require.Contains(t, f.Detail, "accountSid")
	f = finding(t, r, "account Bandwidth (played here) (Twilio): settings")
	require.Equal(t, StateOK, f.State, "what the demo made up is not tried at the carrier")
	require.Contains(t, f.Detail, "made up")
	require.Equal(t, Finding{Check: "account Old (Twilio)", State: StateOK, Detail: "disabled"}, finding(t, r, "account Old (Twilio)"))
}
