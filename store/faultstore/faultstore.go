// Package faultstore is a store that fails as a test wishes: with an error, late, never, or after the write has happened.
package faultstore

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"sync"
	"time"

	"omniservice/omni"
	"omniservice/store"
	"omniservice/store/intercept"
)

// ErrInjected is what a fault without an error of its own fails with: the store is away.
var ErrInjected = fmt.Errorf("injected fault: %w", omni.ErrUnavailable)

// Fault says which calls fail, and how. Of several that match a call the oldest acts.
type Fault struct {
	Calls       string  // name of a call in store.Store, or a pattern as path.Match takes it, such as "Put*"; "" means all
	From        int     // the first matching call that it concerns, counted from 1 when it is injected; 0 means 1
	Times       int     // how many it concerns; 0 means all from then on
	Probability float64 // that it acts on a call which it concerns; 0 means always

	Delay time.Duration // waits first, unless the context ends
	Hang  bool          // waits until the call's context ends, and returns that as its error
	After bool          // does what was asked for, and fails then: the caller cannot know
	Err   error         // nil means ErrInjected, or no error if there is only a Delay
}

// Store is a store.Store with faults. It is safe for concurrent use.
type Store struct {
	*intercept.Store

	mu     sync.Mutex
	random *rand.Rand
	faults []*active
	calls  map[string]int
}

type active struct {
	Fault

	seen int
}

// New makes a store that works as st does until faults are injected. The same seed gives the same chances.
func New(st store.Store, seed uint64) *Store {
	s := &Store{random: rand.New(rand.NewPCG(seed, seed)), calls: map[string]int{}} // #nosec G404 -- chances of a test
	s.Store = intercept.New(st, s.around)
	return s
}

// Inject makes calls fail from now on, until the returned function is called.
func (s *Store) Inject(f Fault) (remove func()) {
	if _, err := path.Match(f.Calls, ""); err != nil {
		panic(fmt.Sprintf("faultstore: pattern %q: %v", f.Calls, err))
	}
	a := &active{Fault: f}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, a)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.faults = slices.DeleteFunc(s.faults, func(other *active) bool { return other == a })
	}
}

// Away makes every call fail at once, as when nothing listens where the store was.
func (s *Store) Away() (back func()) { return s.Inject(Fault{}) }

// Stuck makes every call hang until its context ends, as when the store takes connections and never answers.
func (s *Store) Stuck() (back func()) { return s.Inject(Fault{Hang: true}) }

// Slow makes every call take longer.
func (s *Store) Slow(by time.Duration) (back func()) { return s.Inject(Fault{Delay: by}) }

// Calls is how often a call, or those that match a pattern, were made.
func (s *Store) Calls(pattern string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for method, c := range s.calls {
		if matches(pattern, method) {
			n += c
		}
	}
	return n
}

func matches(pattern, method string) bool {
	if pattern == "" {
		return true
	}
	ok, _ := path.Match(pattern, method)
	return ok
}

// next is the fault that acts on this call, if one does.
func (s *Store) next(method string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[method]++
	for _, a := range s.faults {
		if !matches(a.Calls, method) {
			continue
		}
		a.seen++
		if a.seen < a.From || a.Times > 0 && a.seen >= max(1, a.From)+a.Times {
			continue
		}
		if a.Probability > 0 && s.random.Float64() >= a.Probability {
			continue
		}
		return a.Fault, true
	}
	return Fault{}, false
}

func (s *Store) around(ctx context.Context, method string, do func(context.Context) error) error {
	f, ok := s.next(method)
	if !ok {
		return do(ctx)
	}
	if f.Delay > 0 {
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if f.After {
		if err := do(ctx); err != nil {
			return err
		}
	}
	switch {
	case f.Hang:
		<-ctx.Done()
		return ctx.Err()
	case f.Err != nil:
		return fmt.Errorf("%s: %w", method, f.Err)
	case f.Delay > 0 && !f.After:
		return do(ctx)
	}
	return fmt.Errorf("%s: %w", method, ErrInjected)
}
