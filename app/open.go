package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"omniservice/internal/seal"
	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/intercept"
	"omniservice/store/mongostore"
	"omniservice/store/spool"
)

const (
	storeTime   = 5 * time.Second // that a call of the gateway on its store may take
	prepareSoon = time.Second     // that a start waits for the store; then it goes on without
	prepareMax  = 5 * time.Second // between attempts to prepare the store
)

// unbounded are the calls that take as long as they take.
var unbounded = []string{"Sweep", "Dump", "Load", "Inspect"}

// errPreparing is the answer of a store that may not be used yet.
var errPreparing = fmt.Errorf("the store is not ready: %w", omni.ErrUnavailable)

// preparation is whether the store may be used: it has been reached, its tables and indexes are there, and it belongs to
// the secret key.
type preparation struct {
	ready   atomic.Bool
	done    chan struct{} // closed when it is
	prepare func(ctx context.Context) error
}

// wait waits until the store may be used.
func (p *preparation) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", ctx.Err())
	}
}

// openStore opens the store, which may be away: then it is prepared later, and is unavailable until it is. Every call that
// the gateway makes is bounded in time.
func (a *App) openStore(ctx context.Context) error {
	var inner store.Store = shared{a.o.Store}
	if a.o.Store == nil {
		var err error
		if inner, err = openStore(ctx, a.cfg); err != nil {
			return err
		}
	}
	if u, ok := parseMongoURI(a.cfg.MongoURI.Reveal()); ok && !u.local() && !u.encrypted() {
		a.log.WarnContext(ctx, "connections to MongoDB are not encrypted: add tls=true to OMNI_MONGO_URI unless the network is private")
	}
	if a.o.Around != nil {
		inner = a.o.Around(inner)
	}
	bounded := intercept.Deadline(storeTime, unbounded...)
	a.opened.done = make(chan struct{})
	a.opened.prepare = func(ctx context.Context) error { return prepare(ctx, inner, a.keys, a.log) }
	a.store = intercept.New(inner, func(ctx context.Context, method string, do func(context.Context) error) error {
		if !a.opened.ready.Load() {
			return fmt.Errorf("%s: %w", method, errPreparing)
		}
		return bounded(ctx, method, do)
	})
	soon, cancel := context.WithTimeout(ctx, prepareSoon)
	defer cancel()
	err := a.opened.prepare(soon)
	switch {
	case err == nil:
		a.opened.ready.Store(true)
		close(a.opened.done)
	case !away(err):
		return fmt.Errorf("store: %w", err)
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		a.log.WarnContext(ctx, "started without the store", "err", err)
	}
	return nil
}

// prepareStore goes on until the store may be used or ctx ends. What is wrong with the store itself ends the gateway.
func (a *App) prepareStore(ctx context.Context) {
	pause := 50 * time.Millisecond
	for !a.opened.ready.Load() {
		t := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-t.C:
		}
		pause = min(2*pause, prepareMax)
		err := a.opened.prepare(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			a.opened.ready.Store(true)
			close(a.opened.done)
			a.log.InfoContext(ctx, "store ready")
		case !away(err):
			a.failed <- fmt.Errorf("store: %w", err)
			return
		}
	}
}

// openSpool opens the spool in the data directory.
func (a *App) openSpool() error {
	derived, err := a.keys.Derive("spool")
	if err != nil {
		return err
	}
	keys := make([]spool.Key, 0, len(derived))
	for _, d := range derived {
		keys = append(keys, spool.Key{ID: d.ID, Key: d.Key})
	}
	o := a.o.Spool
	o.Now, o.Log = a.o.Now, a.log
	a.spool, err = spool.Open(filepath.Join(a.cfg.DataDir, spoolName), keys, o)
	return err
}

// prepare makes a store that is there ready to be used.
func prepare(ctx context.Context, st store.Store, keys *seal.Keyring, log *slog.Logger) error {
	if m, ok := innermost(st).(*mongostore.Store); ok {
		differences, err := m.EnsureIndexes(ctx)
		if err != nil {
			return err
		}
		for _, d := range differences {
			log.WarnContext(ctx, "index is not as declared", "reason", d.String())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if err := readyStore(ctx, st, keys); err != nil {
		return err
	}
	return reseal(ctx, st, keys, log)
}

// innermost is the store behind those that are put around it.
func innermost(st store.Store) store.Store {
	for {
		outer, ok := st.(interface{ Unwrap() store.Store })
		if !ok {
			return st
		}
		st = outer.Unwrap()
	}
}

// away says whether an error means that the store cannot be reached, not that something is wrong with it.
func away(err error) bool {
	return errors.Is(err, omni.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}
