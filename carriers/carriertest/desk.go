package carriertest

import (
	"maps"
	"sync"
	"time"

	"omniservice/carriers/simulate"
	"omniservice/omni"
)

// Desk takes every message that a Player gives it, unless it was told to refuse one. Where a test wants faults and statuses by
// themselves, a simulate.Double has them. It is safe for concurrent use.
type Desk struct {
	at time.Time

	mu       sync.Mutex
	sent     []simulate.Sent
	files    map[string]simulate.File
	verdicts []simulate.Verdict
}

var _ simulate.Desk = (*Desk)(nil)

// NewDesk makes a Desk whose clock stands still.
func NewDesk(at time.Time) *Desk { return &Desk{at: at, files: map[string]simulate.File{}} }

// Refuse answers the messages that come next, one each.
func (d *Desk) Refuse(next ...simulate.Verdict) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.verdicts = append(d.verdicts, next...)
}

// Sent are the messages that were taken, in order.
func (d *Desk) Sent() []simulate.Sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]simulate.Sent(nil), d.sent...)
}

// Last is the newest message that was taken, the zero Sent if there is none.
func (d *Desk) Last() simulate.Sent {
	if all := d.Sent(); len(all) > 0 {
		return all[len(all)-1]
	}
	return simulate.Sent{}
}

// Files are those that were uploaded or put there, by their ids.
func (d *Desk) Files() map[string]simulate.File {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.files)
}

// Take implements simulate.Desk.
func (d *Desk) Take(s simulate.Sent) simulate.Verdict {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.verdicts) > 0 {
		v := d.verdicts[0]
		d.verdicts = d.verdicts[1:]
		return v
	}
	if s.Kept != nil {
		s.Kept()
		s.Kept = nil
	}
	d.sent = append(d.sent, s)
	return simulate.Verdict{}
}

// Note implements simulate.Desk: nobody asks for them here.
func (*Desk) Note(simulate.Mark) {}

// AddFile implements simulate.Desk.
func (d *Desk) AddFile(id string, f simulate.File) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.files[id] = f
}

// File implements simulate.Desk.
func (d *Desk) File(id string) (simulate.File, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[id]
	return f, ok
}

// SetTemplates implements simulate.Desk: nobody asks for them here.
func (*Desk) SetTemplates([]omni.MessageTemplate) {}

// Templates implements simulate.Desk.
func (*Desk) Templates() []omni.MessageTemplate { return nil }

// Now implements simulate.Desk.
func (d *Desk) Now() time.Time { return d.at }
