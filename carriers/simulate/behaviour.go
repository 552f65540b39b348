package simulate

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"omniservice/omni"
)

const (
	maxReports    = 20
	maxDuplicates = 20
	maxDelay      = time.Minute
)

// Behaviour is what a Double does with messages. The zero value takes them all and reports nothing.
type Behaviour struct {
	Faults     []Fault       // each happens to its share of the messages; together at most all
	Reports    []Report      // told of each message that was taken; those that the provider does not have are left out
	Delay      time.Duration // before each report
	Early      float64       // share of the messages whose first report comes before the answer
	Shuffle    bool          // reports come in any order
	Duplicates int           // how often each report comes again
}

// AllRead are the reports of a message that arrives and is read.
func AllRead() []Report {
	return []Report{{Status: omni.StatusSent}, {Status: omni.StatusDelivered}, {Status: omni.StatusRead}}
}

// Kind is a way in which things go wrong.
type Kind string

// The kinds of faults. After those with Taken the message is on its way, whatever the gateway was told.
const (
	Throttle   Kind = "throttle"    // 429 with Retry-After
	Busy       Kind = "busy"        // 503
	Error      Kind = "error"       // 500
	Reset      Kind = "reset"       // the connection ends without an answer
	Refuse     Kind = "refuse"      // 400 with a code
	TakenError Kind = "taken-error" // taken, then 500
	TakenReset Kind = "taken-reset" // taken, then the connection ends without an answer
	Fail       Kind = "fail"        // taken, and reported as failed with a code
)

// Kinds lists every kind of fault.
var Kinds = []Kind{Throttle, Busy, Error, Reset, Refuse, TakenError, TakenReset, Fail}

// Fault is one thing that goes wrong. The zero value is nothing.
type Fault struct {
	Kind       Kind
	Share      float64     // of the messages, 0 to 1; a script does not look at it
	Status     int         // HTTP status of the answer; 0 means that of its kind
	Code       string      // the provider's own; "" means none, or the one that the provider has for that status
	RetryAfter int         // seconds, for Throttle and Busy; 0 means 1 for Throttle and none for Busy
	Reported   omni.Status // of Fail: failed or undeliverable; "" means failed
}

// ParseFault reads a fault as it is written on a command line: kind, code and share, as in throttle@0.3 or
// refuse:21610@0.1. Without a share it happens always. Errors are omni.ErrInvalid.
func ParseFault(s string) (Fault, error) {
	rest, share, shared := strings.Cut(s, "@")
	kind, code, _ := strings.Cut(rest, ":")
	f := Fault{Kind: Kind(kind), Code: code, Share: 1}
	if shared {
		var err error
		if f.Share, err = strconv.ParseFloat(share, 64); err != nil {
			return Fault{}, omni.Problemf(omni.ErrInvalid, "the share of fault %q must be a number between 0 and 1", s)
		}
	}
	if err := f.validate(); err != nil {
		return Fault{}, err
	}
	return f, nil
}

func (f Fault) validate() error {
	switch {
	case !slices.Contains(Kinds, f.Kind):
		return omni.Problemf(omni.ErrInvalid, "fault %q must be one of %v", f.Kind, Kinds)
	case !(f.Share >= 0 && f.Share <= 1):
		return omni.Problemf(omni.ErrInvalid, "the share of fault %s must be between 0 and 1", f.Kind)
	case f.Status != 0 && (f.Status < 300 || f.Status > 599):
		return omni.Problemf(omni.ErrInvalid, "the status of fault %s must be between 300 and 599", f.Kind)
	case f.RetryAfter < 0:
		return omni.Problemf(omni.ErrInvalid, "fault %s cannot ask to wait for less than nothing", f.Kind)
	case f.Reported != "" && f.Reported != omni.StatusFailed && f.Reported != omni.StatusUndeliverable:
		return omni.Problemf(omni.ErrInvalid, "fault %s must be reported as failed or undeliverable", f.Kind)
	}
	return nil
}

func (f Fault) taken() bool {
	return f.Kind == "" || f.Kind == TakenError || f.Kind == TakenReset || f.Kind == Fail
}

func (f Fault) silent() bool { return f.Kind == Reset || f.Kind == TakenReset }

func (f Fault) status() omni.Status {
	if f.Reported != "" {
		return f.Reported
	}
	return omni.StatusFailed
}

func (f Fault) verdict() Verdict {
	v := Verdict{Status: f.Status, Code: f.Code, RetryAfter: f.RetryAfter}
	status := 0
	switch f.Kind {
	case Throttle:
		status = http.StatusTooManyRequests
		v.RetryAfter = max(1, f.RetryAfter)
	case Busy:
		status = http.StatusServiceUnavailable
	case Error, TakenError:
		status = http.StatusInternalServerError
	case Refuse:
		status = http.StatusBadRequest
	default:
		return Verdict{}
	}
	if v.Status == 0 {
		v.Status = status
	}
	return v
}

// Validate reports what is wrong as omni.ErrInvalid.
func (b Behaviour) Validate() error {
	sum := 0.
	for _, f := range b.Faults {
		if err := f.validate(); err != nil {
			return err
		}
		sum += f.Share
	}
	bad := map[string]string{}
	require := func(ok bool, field, problem string) {
		if !ok {
			bad[field] = problem
		}
	}
	require(sum <= 1.000_001, "faults", "must have shares of at most 1 together")
	require(len(b.Reports) <= maxReports, "reports", fmt.Sprintf("must be at most %d", maxReports))
	for _, r := range b.Reports {
		require(reportable[r.Status], "reports", "must be statuses that a provider reports")
	}
	require(b.Delay >= 0 && b.Delay <= maxDelay, "delay", fmt.Sprintf("must be at most %s", maxDelay))
	require(b.Early >= 0 && b.Early <= 1, "early", "must be between 0 and 1")
	require(b.Duplicates >= 0 && b.Duplicates <= maxDuplicates, "duplicates", fmt.Sprintf("must be between 0 and %d", maxDuplicates))
	if len(bad) == 0 {
		return nil
	}
	p := omni.Problemf(omni.ErrInvalid, "the behaviour is not valid")
	p.Fields = bad
	return p
}

var reportable = map[omni.Status]bool{
	omni.StatusQueued: true, omni.StatusSent: true, omni.StatusDelivered: true, omni.StatusRead: true,
	omni.StatusFailed: true, omni.StatusUndeliverable: true,
}

func (b Behaviour) clone() Behaviour {
	b.Faults, b.Reports = slices.Clone(b.Faults), slices.Clone(b.Reports)
	return b
}
