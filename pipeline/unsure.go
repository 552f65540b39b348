package pipeline

import (
	"sync"

	"omniservice/store"
)

// maxUnsure is how many changes may be unsure at a time; with more all topics begin anew.
const maxUnsure = 10_000

// unsure are changes that the store may have made though it did not say so: the connection broke before its answer. When
// they are tried again it says that they were made before, and then they have still to be told. If this process dies in
// between, its place in the store says so (see members).
type unsure struct {
	mu    sync.Mutex
	known map[string]store.OpenOutcome // what the change did to its interaction, if it is a message
}

// note keeps key until taken. It reports false if there are too many.
func (u *unsure) note(key string, how store.OpenOutcome) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.known == nil || len(u.known) >= maxUnsure {
		full := u.known != nil
		u.known = map[string]store.OpenOutcome{key: how}
		return !full
	}
	if _, ok := u.known[key]; !ok {
		u.known[key] = how
	}
	return true
}

// take reports whether key was noted, and forgets it.
func (u *unsure) take(key string) (how store.OpenOutcome, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.known) == 0 {
		return "", false
	}
	how, ok = u.known[key]
	delete(u.known, key)
	return how, ok
}

// doubt notes a change that the store may have made, by the error with which it failed.
func (p *Pipeline) doubt(key string, how store.OpenOutcome, err error) {
	if isAway(err) && !p.unsure.note(key, how) {
		p.untold()
	}
}
