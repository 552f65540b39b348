package sqlitestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"omniservice/omni"
	"omniservice/store"
)

func scanOutbox(r scanner) (q queued[store.OutboxItem], err error) {
	var attempts, partition int64
	err = scanMessageAnd(r, &q.item.Message, &q.seq, &attempts, (*int64)(&q.item.NotBefore), (*int64)(&q.item.SendingAt), &partition)
	q.item.Attempts, q.item.Partition = int(attempts), int(partition)
	return q, err
}

// PendingOutbox implements store.Store. It looks at the heads of the recipients' queues alone.
func (s *Store) PendingOutbox(ctx context.Context, partitions []int, now omni.Millis, limit int) ([]store.OutboxItem, error) {
	items, err := oldest(ctx, s, sqlOutboxNew, sqlOutboxRetried, scanOutbox, partitions, now, limit, bySeq)
	if err != nil {
		return nil, fmt.Errorf("pending outbox: %w", err)
	}
	return items, nil
}

// NextOutbox implements store.Store.
func (s *Store) NextOutbox(ctx context.Context, partitions []int) (omni.Millis, error) {
	at, err := read(ctx, s, func(ctx context.Context, c *conn) (int64, error) {
		return queryOne(ctx, c, sqlOutboxNext, scanInt, mask(partitions))
	})
	switch {
	case errors.Is(err, omni.ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("next outbox: %w", err)
	}
	return omni.Millis(max(at, 1)), nil
}

// MarkSending implements store.Store.
func (s *Store) MarkSending(ctx context.Context, t omni.Tenant, messageID string, at omni.Millis) error {
	if err := s.unsent(ctx, sqlOutboxSending, t, messageID, at); err != nil {
		return fmt.Errorf("mark message %s sending: %w", messageID, err)
	}
	return nil
}

// PutOff implements store.Store.
func (s *Store) PutOff(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis) error {
	if err := s.unsent(ctx, sqlOutboxPutOff, t, messageID, notBefore); err != nil {
		return fmt.Errorf("put message %s off: %w", messageID, err)
	}
	return nil
}

// unsent sets a moment of a message in the outbox that is not being sent.
func (s *Store) unsent(ctx context.Context, set stmt, t omni.Tenant, messageID string, at omni.Millis) error {
	return writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, set, messageID, t.OrganisationID, int64(at))
		if err != nil || n > 0 {
			return err
		}
		if _, err := queryOne(ctx, c, sqlOutboxState, scanInt, messageID, t.OrganisationID); err != nil {
			return err
		}
		return fmt.Errorf("a send of it has begun: %w", omni.ErrConflict)
	})
}

// leaveOutbox takes a message out of the outbox, if it is there, and makes the next one of its recipient the head.
func leaveOutbox(ctx context.Context, c *conn, t omni.Tenant, messageID string) error {
	recipient, err := queryOne(ctx, c, sqlOutboxTake, scanText, messageID, t.OrganisationID)
	if errors.Is(err, omni.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = c.exec(ctx, sqlOutboxPromote, t.OrganisationID, recipient)
	return err
}

// finish applies d to a message, whatever it is told of, takes it out of the outbox and returns it.
func finish(ctx context.Context, c *conn, t omni.Tenant, messageID string, d omni.DeliveryStatus) error {
	if _, err := moveStatus(ctx, c, t, messageID, d); err != nil {
		return err
	}
	return leaveOutbox(ctx, c, t, messageID)
}

// MarkSent implements store.Store.
func (s *Store) MarkSent(ctx context.Context, t omni.Tenant, messageID, carrierMessageID string, segments int, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ServiceMessage, error) {
		m, err := queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
		if err != nil {
			return m, err
		}
		if segments > 0 {
			if _, err := c.exec(ctx, sqlMessageSegments, messageID, t.OrganisationID, segments); err != nil {
				return m, err
			}
		}
		if err := finish(ctx, c, t, messageID, d); err != nil {
			return m, err
		}
		if carrierMessageID != "" {
			if err := setCarrierID(ctx, c, t, messageID, m.Channel.DigitalChannelID, carrierMessageID); err != nil {
				return m, err
			}
		}
		return queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("mark message %s sent: %w", messageID, err)
	}
	return m, nil
}

// MarkRetry implements store.Store.
func (s *Store) MarkRetry(ctx context.Context, t omni.Tenant, messageID string, notBefore omni.Millis, d omni.DeliveryStatus) error {
	history, err := historyText(d)
	if err != nil {
		return fmt.Errorf("mark message %s for retry: %w", messageID, err)
	}
	err = writeOnly(ctx, s, func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, sqlOutboxRetry, messageID, t.OrganisationID, int64(notBefore))
		if err != nil {
			return err
		}
		if n == 0 {
			if _, err := queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID); err != nil {
				return err
			}
			return fmt.Errorf("it has left the outbox: %w", omni.ErrConflict)
		}
		// The status stays queued; agents see from reason and history why it has not gone. The same again adds nothing.
		_, err = c.exec(ctx, sqlMessageNote, messageID, t.OrganisationID, string(d.Reason), d.ErrorCode, history)
		return err
	})
	if err != nil {
		return fmt.Errorf("mark message %s for retry: %w", messageID, err)
	}
	return nil
}

// MarkEnded implements store.Store.
func (s *Store) MarkEnded(ctx context.Context, t omni.Tenant, messageID string, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ServiceMessage, error) {
		if err := finish(ctx, c, t, messageID, d); err != nil {
			return omni.ServiceMessage{}, err
		}
		return queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("mark message %s ended: %w", messageID, err)
	}
	return m, nil
}

// Requeue implements store.Store.
func (s *Store) Requeue(ctx context.Context, t omni.Tenant, messageID string, d omni.DeliveryStatus) (omni.ServiceMessage, error) {
	history, err := historyText(d)
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("requeue message %s: %w", messageID, err)
	}
	m, err := write(ctx, s, func(ctx context.Context, c *conn) (omni.ServiceMessage, error) {
		seq, err := queryOne(ctx, c, sqlMessageRequeue, scanInt, messageID, t.OrganisationID, string(d.Status), d.Status.Rank(),
			int64(cmp.Or(d.OccurredAt, d.ReceivedAt)), history)
		requeued := err == nil
		if err != nil && !errors.Is(err, omni.ErrNotFound) {
			return omni.ServiceMessage{}, err
		}
		m, err := queryOne(ctx, c, sqlMessage, scanMessage, messageID, t.OrganisationID)
		if err == nil && !requeued {
			err = fmt.Errorf("it is %s: %w", m.Status, omni.ErrConflict)
		}
		if err != nil {
			return omni.ServiceMessage{}, err
		}
		_, err = c.exec(ctx, sqlOutboxPut, seq, m.ID, t.OrganisationID, recipientKey(m), store.OutboxPartition(m))
		return m, err
	})
	if err != nil {
		return omni.ServiceMessage{}, fmt.Errorf("requeue message %s: %w", messageID, err)
	}
	return m, nil
}
