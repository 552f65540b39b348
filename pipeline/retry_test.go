package pipeline_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

// failed is a message that the carrier refused.
func (s *system) failed(it omni.Interaction) omni.ServiceMessage {
	s.t.Helper()
	m := s.send(s.ana, it.ID, "answer")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusFailed }, "the carrier refuses it")
	return s.message(m.ID)
}

func (s *system) retry(a pipeline.Actor, id string) (omni.ServiceMessage, error) {
	return s.Retry(s.t.Context(), a, wire.RetryMessage{MessageID: id})
}

func TestAFailedMessageIsSentAgain(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.carrier.answers = []error{&carriers.SendError{Reason: omni.ReasonRejected, Code: "30007"}}
	m := s.failed(it)
	_, err := s.retry(s.outsider, m.ID)
	require.ErrorIs(t, err, omni.ErrNotFound)

	again, err := s.retry(s.ben, m.ID)
	require.NoError(t, err)
	require.Equal(t, omni.StatusQueued, again.Status)
	require.Empty(t, again.Reason)
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "it goes out")
	require.Len(t, s.carrier.sends(), 2)
	require.Equal(t, m.ID, s.carrier.sends()[1].ID)
	s.eventually(func() bool { return len(s.pub.of(wire.MessageStatus)) == 3 }, "three statuses")
	var told []wire.StatusChange
	for _, e := range s.pub.of(wire.MessageStatus) {
		require.Equal(t, omni.GroupTopic(s.group.ID), e.topic)
		told = append(told, e.data.(wire.StatusChange))
	}
	require.Equal(t, []omni.Status{omni.StatusFailed, omni.StatusQueued, omni.StatusSent}, []omni.Status{told[0].Status, told[1].Status, told[2].Status})
	require.Equal(t, []int{0, 1, 1}, []int{told[0].Attempt, told[1].Attempt, told[2].Attempt}, "so that a client takes the lower status")
	require.Equal(t, 1, wire.NewMessage(s.message(m.ID)).Attempt)

	_, err = s.retry(s.ana, m.ID)
	require.ErrorIs(t, err, omni.ErrConflict, "it has gone")
	_, err = s.retry(s.ana, s.messages(it.ID)[0].ID)
	require.ErrorIs(t, err, omni.ErrConflict, "the contact wrote it")
	_, err = s.retry(s.ana, "x")
	require.ErrorIs(t, err, omni.ErrNotFound)
}

func TestARetryObeysConsentAndEnds(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	refuse := error(&carriers.SendError{Reason: omni.ReasonRejected})
	s.carrier.answers = []error{refuse, refuse, refuse, refuse, refuse, refuse}
	m := s.failed(it)
	for n := range 5 {
		_, err := s.retry(s.ana, m.ID)
		require.NoError(t, err)
		s.eventually(func() bool { return len(s.carrier.sends()) == n+2 && s.message(m.ID).Status == omni.StatusFailed }, "it fails again")
	}
	_, err := s.retry(s.ana, m.ID)
	require.ErrorIs(t, err, omni.ErrConflict, "often enough")

	s.carrier.mu.Lock()
	s.carrier.answers = append(s.carrier.answers, refuse)
	s.carrier.mu.Unlock()
	m = s.failed(it)
	s.accept(inbound("in-2", it.ContactAddress, "STOP"))
	s.eventually(func() bool { return len(s.pub.of(wire.ConsentChanged)) == 1 }, "they opt out")
	_, err = s.retry(s.ana, m.ID)
	require.ErrorIs(t, err, omni.ErrOptedOut)
	require.Equal(t, omni.StatusFailed, s.message(m.ID).Status)
}

// TestAFormerAttemptDoesNotEndTheNext: what a carrier says late of the one that failed, by our own id.
func TestAFormerAttemptDoesNotEndTheNext(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	m := s.send(s.ana, it.ID, "answer")
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusSent }, "it goes out")
	former := "out-" + m.ID
	says := func(st omni.Status) omni.CarrierChannelEvent {
		e := statusOf(m, st)
		e.ClientReference = m.ID
		return e
	}
	s.accept(says(omni.StatusUndeliverable))
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusUndeliverable }, "it does not arrive")

	s.stop() // what is queued stays queued
	_, err := s.retry(s.ana, m.ID)
	require.NoError(t, err)
	s2, err := pipeline.New(s.store, s.reg, s.keys, s.pub, s.options)
	require.NoError(t, err)
	s.carrier.mu.Lock()
	s.carrier.answers = []error{nil, &carriers.SendError{Reason: omni.ReasonThrottled, RetryAfter: 3600}}
	s.carrier.mu.Unlock()
	s.Pipeline = s2
	s.run()
	s.eventually(func() bool { return len(s.carrier.sends()) == 2 }, "the carrier is busy")
	s.accept(says(omni.StatusFailed), inbound("in-3", it.ContactAddress, "and then"))
	s.eventually(func() bool { return len(s.messages(it.ID)) == 3 }, "the message that came with it")
	require.Equal(t, omni.StatusQueued, s.message(m.ID).Status, "it still waits")
	require.Empty(t, s.message(m.ID).CarrierMessageID)
	s.accept(says(omni.StatusDelivered))
	s.eventually(func() bool { return s.message(m.ID).Status == omni.StatusDelivered }, "they have it after all")
	require.Equal(t, former, s.message(m.ID).CarrierMessageID)
}
