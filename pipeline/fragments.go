package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/store"
)

const (
	// fragmentWait is how long the first part of a text waits for the others before it is shown without them.
	fragmentWait = time.Minute
	// fragmentMemory is how long a joined text is remembered, so that a part delivered twice is not a new text.
	fragmentMemory = 10 * time.Minute
)

// joinedPrefix begins the id of a text that was joined: ours, since the carrier knows its parts alone.
const joinedPrefix = "joined:"

// fragment keeps one part of a text, and goes on with the whole once all parts are there.
func (p *Pipeline) fragment(ctx context.Context, r *store.InboxRecord, e omni.CarrierChannelEvent) error {
	f := *e.Fragment
	f.Text, f.ReceivedAt = omni.CleanText(e.Text), r.ReceivedAt
	key := strings.Join([]string{r.AccountID, e.From, e.To, f.Reference, strconv.Itoa(f.Total)}, "|")

	parts, joined, err := p.store.PutFragment(ctx, r.Tenant, key, f, r.ReceivedAt.Add(fragmentMemory))
	if err != nil {
		return fmt.Errorf("keep part %d of %d: %w", f.Index, f.Total, err)
	}
	if joined {
		if p.o.Metrics.Webhook != nil && r.NotBefore == 0 { // else it has waited, and the others have come
			p.o.Metrics.Webhook(r.Carrier, carriers.DuplicateFragment, carriers.TypeMessage)
		}
		return nil
	}
	first := parts[0].ReceivedAt
	for _, part := range parts {
		first = min(first, part.ReceivedAt)
	}
	if until := first.Add(fragmentWait); len(parts) < f.Total && p.millis() < until {
		return &waitError{until}
	}

	sum := sha256.Sum256([]byte(key + "|" + strconv.FormatInt(int64(first), 10)))
	whole := e
	whole.Fragment = nil
	whole.Text = joinFragments(parts, f.Total)
	whole.Segments = f.Total
	whole.CarrierMessageID = joinedPrefix + hex.EncodeToString(sum[:16])
	if err := p.message(ctx, r, whole); err != nil {
		return err
	}
	if err := p.store.JoinFragments(ctx, r.Tenant, key, p.millis().Add(fragmentMemory)); err != nil {
		return fmt.Errorf("note that the text is joined: %w", err)
	}
	return nil
}

// joinFragments puts parts in order and says where one is missing.
func joinFragments(parts []omni.MessageFragment, total int) string {
	byIndex := make(map[int]string, len(parts))
	for _, part := range parts {
		byIndex[part.Index] = part.Text
	}
	var b strings.Builder
	for i := 1; i <= total; i++ {
		text, ok := byIndex[i]
		if !ok {
			text = fmt.Sprintf(" [part %d of %d is missing] ", i, total)
		}
		b.WriteString(text)
	}
	return b.String()
}
