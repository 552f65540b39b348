// Package hub holds the open sockets of a node: it lets clients in, gives each the topics that it may have, delivers
// the events of those topics in order and without a hole, and closes what is too slow, too loud or no longer allowed.
// Nodes are connected by a Bus.
package hub

import (
	"context"
	"encoding/json"
	"time"

	"omniservice/omni"
)

// Position is a place in a topic's history. A position is comparable with another only if their epochs are equal:
// the epoch changes when the history was lost.
type Position struct {
	Epoch  string `json:"epoch"`
	Offset int64  `json:"offset"` // of the newest event; 0: none yet
}

// Entry is one event of a topic as the bus carries it. The bus does not look into Data, and nobody changes it once
// the bus has it.
type Entry struct {
	Type   string // one word: not empty, without space and newline
	Data   json.RawMessage
	At     omni.Millis
	Offset int64 // 0 for a passing event
	Epoch  string

	// Key tells the events of all publishers apart: one word, or empty. With Again set, Publish looks whether one of
	// the topic's newest events, at least 500, has this Key already, and if so answers where it stands and publishes
	// nothing. Both are for Publish alone: they are not delivered.
	Key   string
	Again bool
}

// Bus connects the hubs of all nodes: it numbers events, keeps a short history of each topic and hands events to
// every node that asked for the topic. Methods are safe for concurrent use.
//
// Events of one topic are delivered to a node in order of their offsets; passing events stand in the order in which
// the bus took them. A bus may lose a delivery (a hub finds out by Position), never a history entry without
// changing the epoch. A bus that knows of a loss that it cannot make good delivers an Entry without a Type: it is no
// event, but says where the topic stands by now.
type Bus interface {
	// Start begins delivery. deliver is called with the entries of subscribed topics; it must not block, and for
	// one topic it is never called twice at once.
	Start(ctx context.Context, deliver func(topic string, e Entry)) error
	// Publish appends e to the topic's history with the next offset and announces it, in one atomic step. After an
	// error it may have done so or not, until e is published with Again; but with omni.ErrInvalid it never has.
	Publish(ctx context.Context, topic string, e Entry) (Position, error)
	// Announce hands e to subscribers without keeping it. e gets no offset.
	Announce(ctx context.Context, topic string, e Entry) error
	// Subscribe returns when every later Publish to the topic will be delivered to this node.
	// Following a topic twice is following it once.
	Subscribe(ctx context.Context, topic string) error
	// Unsubscribe ends what Subscribe began, however often that was called. Nothing is delivered after it.
	Unsubscribe(ctx context.Context, topic string) error
	// History returns the events after since.Offset, oldest first, at most limit, and where the topic stands now.
	// ok is false if the epoch differs, the history no longer reaches back to since, or since is still to come.
	History(ctx context.Context, topic string, since Position, limit int) (es []Entry, now Position, ok bool, err error)
	// Renew has every topic begin anew, with another epoch and without a history. Nobody is told: who asks finds out, and
	// whoever gets the next event of a topic. After an error some topics may have and others not.
	Renew(ctx context.Context) error
	// Positions returns where the topics stand, as the bus itself knows it now. A topic nobody published to stands at 0.
	Positions(ctx context.Context, topics []string) (map[string]Position, error)

	// PutOnce keeps a value under an unguessable key until TakeOnce or the end of ttl: tickets.
	PutOnce(ctx context.Context, key string, value []byte, ttl time.Duration) error
	// TakeOnce removes the value and returns it: of any number of callers one gets it, the others omni.ErrNotFound.
	TakeOnce(ctx context.Context, key string) ([]byte, error)
	// Allow takes n from the bucket of key, which holds burst and refills with rate a second. If there is too little
	// it takes nothing and says when there will be enough. A request that can never be met is omni.ErrInvalid.
	Allow(ctx context.Context, key string, n int, rate float64, burst int) (ok bool, retryAfter time.Duration, err error)

	// SetLeases makes the leases of each group, or renews them, for ttl by the bus's clock, and answers in the order of
	// the groups what holds then. Two groups of one call must not have the same topic.
	SetLeases(ctx context.Context, groups []LeaseGroup, ttl time.Duration) ([]LeaseState, error)
	// DropLeases ends leases: of each the holder's own, and with an empty holder none. A member that nobody holds any
	// more, by then or since longer, goes, and Tell is announced.
	DropLeases(ctx context.Context, drops []LeaseChange) error
	// Leases lists the members of the group that are there now, in no order, each once.
	Leases(ctx context.Context, group string) ([]Lease, error)

	Close() error
}

// Lease says that somebody is there: a user in their organisation, or before a conversation. The group is a topic, on
// which changes are told. A member may have several holders, such as nodes; it is there until the last of their leases
// ends, whether anybody still runs who could tell. Holders share the member's value.
type Lease struct {
	Group  string
	Member string // one word
	Value  string // what others may know of the member; the bus does not look into it
	Ends   omni.Millis
}

// LeaseChange is what a holder wants of one member's lease.
type LeaseChange struct {
	Group  string
	Member string // one word
	Holder string // one word
	Value  string // of the member; only of SetLeases
	Keep   bool   // a value that the member has stays; only of SetLeases

	// Tell is announced to the group in the same step, so that changes are told in the order in which they are made. It
	// is when the member comes or its value becomes another, of DropLeases when the member goes. Without a Type nothing
	// is announced, nor in a group that has more than MostTold members.
	Tell Entry
}

// MostTold is how many members a group has at most whose changes are told. To tell all of all costs the square of them:
// a thousand who come at once would be a million deliveries.
const MostTold = 500

// LeaseGroup is what SetLeases does with one group. Without Set it only looks.
type LeaseGroup struct {
	Group string
	Set   []LeaseChange // their Group is not looked at
}

// LeaseState is what SetLeases answers for a group.
type LeaseState struct {
	Values []string // of the members, in the order of Set
	// Ended are members whose last lease has ended, of whom that was not told: at most 100. They are there until
	// somebody drops them. A member that is renewed first was never away.
	Ended []Lease
}
