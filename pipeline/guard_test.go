package pipeline_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
)

func TestWhoHasNotSeenTheNewestIsToldOnce(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	seen := func(seq int64) wire.SendMessage {
		return wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "answer"}, SeenOffset: seq}
	}
	send := func(a pipeline.Actor, c wire.SendMessage) (omni.ServiceMessage, *omni.Problem) {
		t.Helper()
		m, _, err := s.Send(t.Context(), a, c)
		if err == nil {
			return m, nil
		}
		require.ErrorIs(t, err, omni.ErrConflict)
		var p *omni.Problem
		require.ErrorAs(t, err, &p)
		return m, p
	}

	first, refused := send(s.ana, seen(1))
	require.Nil(t, refused, "she has seen what there is")
	own := seen(1)
	_, refused = send(s.ana, own)
	require.Nil(t, refused, "what she wrote herself she knows")

	late := seen(1)
	_, refused = send(s.ben, late)
	require.NotNil(t, refused)
	require.Contains(t, refused.Message, "ana wrote")
	require.Equal(t, wire.Person{Type: omni.SenderUser, ID: s.ana.Tenant.UserID, Name: "ana"}, refused.Details["by"])
	require.EqualValues(t, 3, refused.Details["message"].(wire.Message).Seq, "the newest that he has not seen")
	require.Len(t, s.messages(it.ID), 3, "nothing was stored")
	m, refused := send(s.ben, late)
	require.Nil(t, refused, "the same again goes through")
	again, refused := send(s.ben, late)
	require.Nil(t, refused)
	require.Equal(t, m.ID, again.ID)

	// A retry of what was stored gives that, whatever came meanwhile.
	s.accept(inbound("in-2", it.ContactAddress, "one more thing"))
	s.eventually(func() bool { return len(s.messages(it.ID)) == 5 }, "the contact's second message")
	again, refused = send(s.ana, own)
	require.Nil(t, refused)
	require.Equal(t, first.Sequence+1, again.Sequence)
	_, refused = send(s.ana, seen(4))
	require.NotNil(t, refused)
	require.Equal(t, omni.SenderContact, refused.Details["by"].(wire.Person).Type)
	_, refused = send(s.ana, seen(0))
	require.Nil(t, refused, "who does not say what they have seen is not asked")

	_, _, err := s.Send(t.Context(), s.ana, seen(-1))
	require.Equal(t, "seenOffset", problemField(err))
}

func TestARefusedMessageDoesNotReopen(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	s.send(s.ana, it.ID, "goodbye")
	it, err := s.Resolve(t.Context(), s.ana, wire.InteractionAction{InteractionID: it.ID, Version: it.Version})
	require.NoError(t, err)
	c := wire.SendMessage{InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "hello"}, SeenOffset: 1}
	_, _, err = s.Send(t.Context(), s.ben, c)
	require.ErrorIs(t, err, omni.ErrConflict)
	now, err := s.Interaction(t.Context(), s.ben, it.ID)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionResolved, now.State)
	_, _, err = s.Send(t.Context(), s.ben, c)
	require.NoError(t, err)
	now, err = s.Interaction(t.Context(), s.ben, it.ID)
	require.NoError(t, err)
	require.Equal(t, omni.InteractionOpen, now.State)
}

func TestOfTwoAnswersAtOnceOneIsAsked(t *testing.T) {
	t.Parallel()
	s, it := begun(t)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i, a := range []pipeline.Actor{s.ana, s.ben} {
		wg.Go(func() {
			_, _, errs[i] = s.Send(t.Context(), a, wire.SendMessage{
				InteractionID: it.ID, ClientID: omni.NewID(), Payload: wire.SendPayload{Text: "answer"}, SeenOffset: 1,
			})
		})
	}
	wg.Wait()
	if errs[0] != nil {
		errs[0], errs[1] = errs[1], errs[0]
	}
	require.NoError(t, errs[0])
	require.ErrorIs(t, errs[1], omni.ErrConflict)
}
