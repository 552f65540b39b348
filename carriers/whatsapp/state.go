package whatsapp

import (
	"context"
	"io"
	"maps"
	"sync"
	"time"

	"omniservice/omni"
)

type fileOpener = func(ctx context.Context, f omni.MediaReference) (io.ReadCloser, error)

// Bounds of what a Carrier remembers. What is forgotten is asked for again, or costs one more upload.
const (
	maxPhones  = 1_000
	maxPairs   = 10_000
	maxUploads = 4_096

	// uploadFor is less than the 30 days for which Meta keeps an uploaded file.
	uploadFor = 29 * 24 * time.Hour
	// pairFor is how long a pair that Meta held back is remembered.
	pairFor = time.Hour
)

// state is what a Carrier has learnt. Its methods are safe for concurrent use.
type state struct {
	mu      sync.Mutex
	ids     map[string]string // address -> phone number id
	numbers map[string]string // phone number id -> address
	fast    map[string]bool   // addresses whose throughput was raised
	pairs   map[string]held
	uploads map[string]upload
}

// held is how often in a row Meta held back what goes to somebody.
type held struct {
	times int
	at    time.Time
}

type upload struct {
	id string
	at time.Time
}

func newState(phones map[string]string) *state {
	s := &state{
		ids: maps.Clone(phones), numbers: map[string]string{}, fast: map[string]bool{}, pairs: map[string]held{}, uploads: map[string]upload{},
	}
	for address, id := range phones {
		s.numbers[id] = address
	}
	return s
}

// learn remembers the id of a number of ours.
func (s *state) learn(address, id string) {
	if address == "" || !isDigits(id) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ids[address] == id {
		return
	}
	makeRoom(s.ids, maxPhones)
	makeRoom(s.numbers, maxPhones)
	s.ids[address], s.numbers[id] = id, address
}

func (s *state) phoneID(address string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[address]
}

func (s *state) number(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.numbers[id]
}

// raise remembers whether Meta raised the throughput of a number.
func (s *state) raise(address string, fast bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	makeRoom(s.fast, maxPhones)
	s.fast[address] = fast
}

func (s *state) isFast(address string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fast[address]
}

// hold counts that Meta held something back and returns how often in a row it did so before.
func (s *state) hold(key string, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.pairs[key]
	if now.Sub(h.at) > pairFor {
		h.times = 0
	}
	makeRoom(s.pairs, maxPairs)
	s.pairs[key] = held{times: h.times + 1, at: now}
	return h.times
}

// release forgets that something was held back.
func (s *state) release(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		delete(s.pairs, k)
	}
}

// uploaded finds the id of a file that Meta has.
func (s *state) uploaded(key string, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[key]
	if now.Sub(u.at) > uploadFor {
		return ""
	}
	return u.id
}

func (s *state) keepUpload(key, id string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	makeRoom(s.uploads, maxUploads)
	s.uploads[key] = upload{id: id, at: now}
}

func (s *state) dropUpload(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, key)
}

// makeRoom drops any entry of a map that is full.
func makeRoom[V any](m map[string]V, most int) {
	for k := range m {
		if len(m) < most {
			return
		}
		delete(m, k)
	}
}
