package auth

import (
	"context"
	"sync"
	"time"

	"omniservice/omni"
)

// The failures that are taken in a minute before the answer is 429.
const (
	failuresPerAccount = 5
	failuresPerAddress = 20
)

// failures counts failed logins. Each attempt counts as failed on this node until it is forgiven, so that attempts at
// the same instant cannot get past the limit; what did fail is counted on the bus for all nodes, and when it is too
// much there, this node refuses as well.
type failures struct {
	bus Bus
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// maxBuckets bounds the counters that are kept; full ones go first.
const maxBuckets = 50_000

type limit struct {
	key   string
	burst int // and as many a minute
}

func (l limit) rate() float64 { return float64(l.burst) / 60 }

// take takes n of l's bucket, or says how long there will not be as much. A negative n gives back.
func (f *failures) take(l limit, n float64) (wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	b, ok := f.buckets[l.key]
	if !ok {
		f.makeRoom(now)
		b = bucket{left: float64(l.burst), at: now}
	}
	b.left = min(float64(l.burst), b.left+max(0, now.Sub(b.at).Seconds())*l.rate())
	b.at = now
	if n > 0 && b.left < n {
		wait = time.Duration((n - b.left) / l.rate() * float64(time.Second))
	} else {
		b.left = min(float64(l.burst), b.left-n)
	}
	f.buckets[l.key] = b
	return wait
}

// empty makes l refuse until wait has passed.
func (f *failures) empty(l limit, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.buckets[l.key] = bucket{left: 1 - wait.Seconds()*l.rate(), at: f.now()}
}

func (f *failures) makeRoom(now time.Time) {
	if len(f.buckets) < maxBuckets {
		return
	}
	for k, b := range f.buckets {
		if now.Sub(b.at) > 2*time.Minute {
			delete(f.buckets, k)
		}
	}
	if len(f.buckets) >= maxBuckets {
		clear(f.buckets)
	}
}

// attempt is a login under way.
type attempt struct {
	f      *failures
	limits []limit
}

// begin counts an attempt from addr at an account ("": none is named), or refuses it as omni.ErrRateLimited.
func (f *failures) begin(addr, account string) (*attempt, error) {
	a := &attempt{f: f}
	limits := []limit{{"login-address/" + addr, failuresPerAddress}}
	if account != "" {
		limits = append(limits, limit{"login-account/" + account, failuresPerAccount})
	}
	for _, l := range limits {
		if wait := f.take(l, 1); wait > 0 {
			a.forgive()
			return nil, tooMany(wait)
		}
		a.limits = append(a.limits, l)
	}
	return a, nil
}

// forgive gives back what the attempt took: it did not fail, or not through the caller's fault.
func (a *attempt) forgive() {
	for _, l := range a.limits {
		a.f.take(l, -1)
	}
	a.limits = nil
}

// failed counts the attempt for all nodes.
func (a *attempt) failed(ctx context.Context) {
	for _, l := range a.limits {
		ok, wait, err := a.f.bus.Allow(ctx, l.key, 1, l.rate(), l.burst)
		if err == nil && !ok {
			a.f.empty(l, wait)
		}
	}
	a.limits = nil
}

func tooMany(wait time.Duration) error {
	p := omni.Problemf(omni.ErrRateLimited, "Too many failed logins. Wait a minute.")
	p.RetryAfter = max(wait, time.Second)
	return p
}
