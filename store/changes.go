package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"omniservice/omni"
)

// Changes tells what became different, for a client that has missed more than the topics' histories hold.
//
// Every write of an interaction or a message, whatever it changes, gets a number; ChangedSince goes by numbers and never by
// clocks. A number that was passed is never given to a write that comes later: of writes at the same instant, on any node,
// none is skipped, however long each takes. What is told is the record as it is now, so one that changed often is told once,
// or again later, and the order of two calls' answers is the order in which their content is new.
type Changes interface {
	// ChangedSince gives the interactions and messages of groups that changed after a place, in the order of their changes.
	// It looks through a bounded number of changes: a page may hold fewer records than Limit, or none, and still be followed
	// by More. Next is always given and is the place to go on from, now or later; what is told after it may hold records that
	// were told before it.
	//
	// Where the way from the place to now cannot be told, Reset is true and nothing else but Next is there: a moment before the
	// store kept numbers or longer ago than KeepMoments, a place of another store or of the time before a backup was restored, other groups than those of the
	// call that gave the place, and no place at all. Next is then the place of now: whoever reads everything after the
	// call, and goes on from Next, misses nothing.
	//
	// A place that no call gave is omni.ErrInvalid.
	ChangedSince(ctx context.Context, t omni.Tenant, q ChangeQuery) (Changed, error)
	// SettleChanges numbers what was written and has no number yet, in every organisation, and returns how many records
	// that were. ChangedSince does it too; calling this every half minute keeps ChangedSince quick and moments exact. A store
	// that numbers while it writes does nothing.
	SettleChanges(ctx context.Context) (int, error)
}

// KeepMoments is how far back a moment is known; places of earlier calls are known for as long as there is the store.
const KeepMoments = 90 * 24 * time.Hour

// ChangeQuery says from where changes are told, and which.
type ChangeQuery struct {
	GroupIDs []string    // what the caller may see: empty means nothing at all
	Since    string      // Changed.Next of an earlier call
	SinceAt  omni.Millis // where Since is empty: what changed at this moment or later, and up to two minutes of what did before
	Limit    int         // records; 0 means 50, more than MaxPage means MaxPage
}

// Changed is a page of changes.
type Changed struct {
	Interactions []omni.Interaction
	Messages     []omni.ServiceMessage
	Next         string
	More         bool // there is more to tell already
	Reset        bool // what lies between cannot be told
}

// Sight is a short form of the groups: the same for the same groups in any order.
func (q ChangeQuery) Sight() string {
	sum := sha256.Sum256([]byte(strings.Join(slices.Compact(slices.Sorted(slices.Values(q.GroupIDs))), " ")))
	return hex.EncodeToString(sum[:8])
}
