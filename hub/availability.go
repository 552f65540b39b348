package hub

import (
	"context"
	"time"

	"omniservice/omni/wire"
)

const availableTimeout = time.Second

// availabilityLoop tells visitors whether somebody is there for them: each connection soon after it began, and again when
// it has changed. Each node asks about the channels of its own visitors, so no agent who comes or goes costs anything.
func (h *Hub) availabilityLoop() {
	tick := time.NewTicker(h.opts.AvailableEvery)
	defer tick.Stop()
	for {
		select {
		case <-h.base.Done():
			return
		case <-tick.C:
			if err := h.tellAvailability(); err != nil {
				h.log.WarnContext(h.base, "visitors not told whether somebody is there", "err", err)
			}
		}
	}
}

// tellAvailability asks once for each channel. It ends with the first error: with the bus away there would be one for each.
func (h *Hub) tellAvailability() error {
	type channel struct{ org, session string }
	known := map[channel]bool{}
	frames := map[bool]*message{}
	for c := range h.eachConn() {
		p := c.Principal()
		if p.VisitorID == "" {
			continue
		}
		at := channel{p.OrgID, p.SessionID}
		online, ok := known[at]
		if !ok {
			ctx, cancel := context.WithTimeout(h.base, availableTimeout)
			var err error
			online, err = h.opts.Available(ctx, p)
			cancel()
			if err != nil {
				return err
			}
			known[at] = online
		}
		if frames[online] == nil {
			e, err := newEntry(wire.AvailabilityEvent, wire.Availability{Online: online})
			if err != nil {
				return err
			}
			if frames[online], err = encodeEvent("", e); err != nil {
				return err
			}
		}
		c.tellAvailable(online, frames[online])
	}
	return nil
}

// tellAvailable queues m unless the client knows it.
func (c *Conn) tellAvailable(online bool, m *message) {
	is := availableNo
	if online {
		is = availableYes
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ready || c.available == is {
		return
	}
	c.available = is
	c.push(m)
}
