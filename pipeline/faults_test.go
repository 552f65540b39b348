package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

// shaky is a carrier that fails as a test says, and remembers what it took.
type shaky struct {
	mu     sync.Mutex
	random *rand.Rand
	taken  map[string]int // by message: how often the recipient got it
	order  map[string][]string
	fail   func(chance float64) (takes bool, err error)
}

func newShaky(fail func(chance float64) (bool, error)) *shaky {
	return &shaky{random: rand.New(rand.NewPCG(1, 2)), taken: map[string]int{}, order: map[string][]string{}, fail: fail}
}

func (k *shaky) send(_ context.Context, m omni.ServiceMessage, _ int) (carriers.SendResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	takes, err := k.fail(k.random.Float64())
	if takes {
		k.taken[m.ID]++
		k.order[m.To.Address] = append(k.order[m.To.Address], m.Payload.TextBody())
	}
	if err != nil {
		return carriers.SendResult{}, err
	}
	return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
}

func (k *shaky) lookup(m omni.ServiceMessage) (carriers.SendResult, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.taken[m.ID] == 0 {
		return carriers.SendResult{}, omni.ErrNotFound
	}
	return carriers.SendResult{CarrierMessageID: "out-" + m.ID, Status: omni.StatusSent}, nil
}

// askedCarrier is a fake that can be asked what became of a send.
type askedCarrier struct{ fakeCarrier }

// Lookup implements carriers.Lookuper.
func (c *askedCarrier) Lookup(_ context.Context, m omni.ServiceMessage) (carriers.SendResult, error) {
	return c.f.lookup(m)
}

func fails(reason omni.Reason) error {
	return &carriers.SendError{Reason: reason, Err: errors.New("the carrier failed")}
}

func TestR16_R17_R18_FaultsOfACarrier(t *testing.T) {
	t.Parallel()
	const recipients, each = 20, 5
	for name, c := range map[string]struct {
		fail    func(chance float64) (bool, error)
		asked   bool
		unknown bool // some may stay unknown
	}{
		"R16: 30 % are too many": {fail: func(chance float64) (bool, error) {
			if chance < 0.3 {
				return false, fails(omni.ReasonThrottled)
			}
			return true, nil
		}},
		"R17: 30 % fail, 10 % break off": {fail: func(chance float64) (bool, error) {
			if chance < 0.4 {
				return false, fails(omni.ReasonUnreachable)
			}
			return true, nil
		}},
		"R18: 10 % are taken, and 10 % not, without an answer": {asked: true, fail: func(chance float64) (bool, error) {
			switch {
			case chance < 0.1:
				return true, fails(omni.ReasonUnknown)
			case chance < 0.2:
				return false, fails(omni.ReasonUnknown)
			}
			return true, nil
		}},
		"R18: the same, and nobody can be asked": {unknown: true, fail: func(chance float64) (bool, error) {
			if chance < 0.2 {
				return chance < 0.1, fails(omni.ReasonUnknown)
			}
			return true, nil
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			k := newShaky(c.fail)
			s.carrier.onSend = k.send
			if c.asked {
				s.carrier.lookup = k.lookup
			}
			s.run()
			var all []omni.ServiceMessage
			for n := range each {
				for r := range recipients {
					all = append(all, s.sendTo(fmt.Sprintf("+1415555%04d", r), fmt.Sprint(n)))
				}
			}
			unknown := 0
			for _, m := range all {
				s.eventually(func() bool { return s.message(m.ID).Status != omni.StatusQueued }, "an outcome")
				if is := s.message(m.ID).Status; is == omni.StatusUnknown {
					unknown++
				} else {
					require.Equal(t, omni.StatusSent, is)
				}
			}
			require.Equal(t, c.unknown, unknown > 0, "%d unknown", unknown)
			k.mu.Lock()
			defer k.mu.Unlock()
			for id, times := range k.taken {
				require.Equal(t, 1, times, "%s was sent twice", id)
			}
			if !c.unknown {
				require.Len(t, k.taken, len(all))
				for to, texts := range k.order {
					require.Equal(t, []string{"0", "1", "2", "3", "4"}, texts, to)
				}
			}
		})
	}
}
