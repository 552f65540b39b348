package pipeline

import (
	"hash/maphash"
	"sync"

	"omniservice/omni"
)

// order lets one change of a conversation be stored and announced before the next is stored, so that events come in
// the order of what they report: sequence after sequence, and no status after a higher one. Changes made on different
// nodes are not ordered by it; clients tell those by sequence, rank and version.
type order struct {
	seed    maphash.Seed
	stripes [256]sync.Mutex
}

func (o *order) init() { o.seed = maphash.MakeSeed() }

// lock returns the function that unlocks. A conversation is named by the carrier account, empty for LiveChat, and the
// contact's address. It is never taken twice by one goroutine, nor held while a carrier is called.
func (o *order) lock(accountID, address string) func() {
	var h maphash.Hash
	h.SetSeed(o.seed)
	_, _ = h.WriteString(accountID)
	_ = h.WriteByte('|')
	_, _ = h.WriteString(address)
	m := &o.stripes[h.Sum64()%uint64(len(o.stripes))]
	m.Lock()
	return m.Unlock
}

// lockInteraction is lock for an interaction on one of our channels.
func (p *Pipeline) lockInteraction(ch omni.DigitalChannel, i omni.Interaction) func() {
	return p.order.lock(ch.CarrierAccountID, i.ContactAddress)
}
