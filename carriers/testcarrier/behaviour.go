package testcarrier

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"omniservice/omni"
)

const (
	maxDelayMs    = 60_000
	maxStatuses   = 20
	maxDuplicates = 20
)

// Behaviour is what an account does with the messages that it is given. The zero value takes every message at once
// and reports what its channel can, 300 ms apart.
type Behaviour struct {
	DelayMs       int           `json:"delayMs"`                 // before the answer, in milliseconds
	FailCode      string        `json:"failCode"`                // what fails, fails with this code: see Reason; empty means rejected
	FailRate      float64       `json:"failRate"`                // share of the messages that fail, 0 to 1
	Statuses      []omni.Status `json:"statuses"`                // reported one after the other; nil means those that the channel has, [] none
	Shuffle       bool          `json:"shuffle"`                 // reports come in any order
	Duplicates    int           `json:"duplicates"`              // how often each report comes again
	StatusDelayMs int           `json:"statusDelayMs,omitempty"` // before each report; 0 means DelayMs, or 300 if that is 0 too
}

// Validate reports what is wrong as ErrInvalid.
func (b Behaviour) Validate() error {
	bad := map[string]string{}
	require := func(ok bool, field, problem string) {
		if !ok {
			bad[field] = problem
		}
	}
	require(b.DelayMs >= 0 && b.DelayMs <= maxDelayMs, "delayMs", fmt.Sprintf("must be between 0 and %d", maxDelayMs))
	require(b.StatusDelayMs >= 0 && b.StatusDelayMs <= maxDelayMs, "statusDelayMs", fmt.Sprintf("must be between 0 and %d", maxDelayMs))
	require(len(b.FailCode) <= 64, "failCode", "must be at most 64 bytes")
	require(b.FailRate >= 0 && b.FailRate <= 1, "failRate", "must be between 0 and 1")
	require(len(b.Statuses) <= maxStatuses, "statuses", fmt.Sprintf("must be at most %d", maxStatuses))
	for _, s := range b.Statuses {
		_, ok := statuses[string(s)]
		require(ok, "statuses", "must be statuses that a carrier reports")
	}
	require(b.Duplicates >= 0 && b.Duplicates <= maxDuplicates, "duplicates", fmt.Sprintf("must be between 0 and %d", maxDuplicates))
	if len(bad) == 0 {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "the behaviour is not valid")
	p.Fields = bad
	return p
}

func (b Behaviour) answerDelay() time.Duration { return time.Duration(b.DelayMs) * time.Millisecond }

func (b Behaviour) reportDelay() time.Duration {
	switch {
	case b.StatusDelayMs > 0:
		return time.Duration(b.StatusDelayMs) * time.Millisecond
	case b.DelayMs > 0:
		return b.answerDelay()
	default:
		return 300 * time.Millisecond
	}
}

// plan lists the reports of a message, in the order in which they come.
func (b Behaviour) plan(channel omni.ChannelType) []omni.Status {
	reported := b.Statuses
	if reported == nil {
		reported = []omni.Status{omni.StatusSent, omni.StatusDelivered}
		if channel == omni.ChannelWhatsApp {
			reported = append(reported, omni.StatusRead)
		}
	}
	all := make([]omni.Status, 0, len(reported)*(1+b.Duplicates))
	for _, s := range reported {
		all = append(all, slices.Repeat([]omni.Status{s}, 1+b.Duplicates)...)
	}
	if b.Shuffle {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // an order that surprises is all it needs
	}
	return all
}
