package mongostore

import (
	"context"
	"sync"
	"time"
)

// lanes let one call at a time pass for each key, within this process. Nothing depends on it: it keeps the appends of one
// node to one interaction from running into each other's unique keys, as those of two nodes do. The zero lanes work.
type lanes struct {
	mu sync.Mutex
	m  map[string]*lane
}

type lane struct {
	turn  chan struct{} // full while somebody has it
	users int           // who has it and who waits for it
}

// enter waits for the turn of key, in the order in which calls came, and gives what ends it.
func (l *lanes) enter(ctx context.Context, key string) (leave func(), err error) {
	l.mu.Lock()
	if l.m == nil {
		l.m = map[string]*lane{}
	}
	a := l.m[key]
	if a == nil {
		a = &lane{turn: make(chan struct{}, 1)}
		l.m[key] = a
	}
	a.users++
	l.mu.Unlock()
	out := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if a.users--; a.users == 0 {
			delete(l.m, key)
		}
	}
	select {
	case a.turn <- struct{}{}:
		return func() { <-a.turn; out() }, nil
	case <-ctx.Done():
		out()
		return nil, ctx.Err()
	}
}

// stamps give places in queues: microseconds since 1970, each greater than those that this process gave before. Between
// nodes they are as exact as their clocks. The zero stamps work.
type stamps struct {
	mu   sync.Mutex
	last int64
}

// next gives a stamp that is greater than floor, too.
func (s *stamps) next(floor int64) int64 { return s.take(floor, 1) }

// take reserves n stamps in a row and gives the first.
func (s *stamps) take(floor int64, n int) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	first := max(time.Now().UnixMicro(), floor+1, s.last+1)
	s.last = first + int64(n) - 1
	return first
}
