package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/faultstore"
	"omniservice/store/spool"
)

// lines is a log that several goroutines write.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func stop(t *testing.T, a *App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 20*time.Second)
	defer cancel()
	require.NoError(t, a.Stop(ctx))
}

// readyz is what the second address says of a gateway.
func readyz(t *testing.T, a *App) (status int, parts map[string]string) {
	t.Helper()
	res, err := http.Get("http://" + a.OpsAddr() + "/readyz") //nolint:noctx // loopback
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.NoError(t, json.NewDecoder(res.Body).Decode(&parts))
	return res.StatusCode, parts
}

// A MongoDB that does not answer holds up neither the start nor the stop.
func TestR7_StartWithoutMongoDB(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // returns at once
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close()) // nobody listens there now
	cfg := good(t)
	cfg.Addr, cfg.OpsAddr = "127.0.0.1:0", "127.0.0.1:0"
	cfg.SecretKey, cfg.MongoURI = omni.NewSecret(goodKey), omni.NewSecret("mongodb://user:canary@"+addr+"/omni")
	var log lines
	began := time.Now()
	a, err := New(t.Context(), cfg, Options{LogTo: &log})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	status, parts := readyz(t, a)
	took := time.Since(began)
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "away", parts["store"])
	stop(t, a)
	require.Less(t, took, 4*time.Second)
	require.Contains(t, log.String(), "started without the store")
	require.NotContains(t, log.String(), "canary")
	t.Logf("R7: no MongoDB at the start: listens and answers /readyz after %v", took.Round(time.Millisecond))
}

// A store that turns out to be another one than the secret key's ends the gateway.
func TestStoreOfAnotherKeyEndsTheGateway(t *testing.T) {
	t.Parallel()
	cfg := good(t)
	cfg.Addr, cfg.OpsAddr, cfg.SecretKey = "127.0.0.1:0", "127.0.0.1:0", omni.NewSecret(goodKey)
	a, err := New(t.Context(), cfg, Options{LogTo: &lines{}})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	stop(t, a)

	cfg.SecretKey = omni.NewSecret("ff" + goodKey[2:])
	_, err = New(t.Context(), cfg, Options{LogTo: &lines{}})
	require.ErrorIs(t, err, errWrongKey)
	var back func()
	a, err = New(t.Context(), cfg, Options{LogTo: &lines{}, Around: func(st store.Store) store.Store {
		f := faultstore.New(st, 1)
		back = f.Away()
		return f
	}})
	require.NoError(t, err)
	require.NoError(t, a.Start(t.Context()))
	back()
	select {
	case err := <-a.Failed():
		require.ErrorIs(t, err, errWrongKey)
	case <-time.After(20 * time.Second):
		require.Fail(t, "it goes on with a store that is not its own")
	}
	stop(t, a)
}

// The spool is one process's: a second gateway on the data directory does not start.
func TestOneGatewayPerDataDirectory(t *testing.T) {
	t.Parallel()
	cfg := good(t)
	cfg.Addr, cfg.OpsAddr = "127.0.0.1:0", "127.0.0.1:0"
	a, err := New(t.Context(), cfg, Options{LogTo: &lines{}})
	require.NoError(t, err)
	_, err = New(t.Context(), cfg, Options{LogTo: &lines{}})
	require.ErrorIs(t, err, omni.ErrConflict)
	errBroken := errors.New("broken")
	a.close()
	_, err = New(t.Context(), cfg, Options{LogTo: &lines{}, Spool: spool.Options{Wrap: func(d spool.Disk) spool.Disk { return broken{d, errBroken} }}})
	require.ErrorIs(t, err, errBroken)
}

type broken struct {
	spool.Disk
	err error
}

func (b broken) List() ([]spool.Info, error) { return nil, b.err }
