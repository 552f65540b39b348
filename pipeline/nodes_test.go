package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/pipeline"
	"omniservice/store"
)

// What a node takes in for another's partitions that one hears of at once, rather than when it looks by itself.
func TestAnotherNodeIsToldOfWork(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *pipeline.Options) { o.Poll = time.Hour }).run()
	told := make(chan int, 100)
	o := s.options
	o.Node, o.Elsewhere = "n2", func(index int) { told <- index }
	other, err := pipeline.New(s.store, s.reg, s.keys, s.pub, o)
	require.NoError(t, err)
	s.accept(inbound("m1", "+14155550001", "here"))
	s.eventually(s.idle, "the inbox is empty")

	here := s.Pipeline
	s.Pipeline = other // it has no lease, and does nothing by itself
	s.accept(inbound("m2", "+14155550001", "there"))
	require.False(t, s.idle())
	here.KickWorker(-1)
	here.KickWorker(1 << 20)
	select {
	case index := <-told:
		here.KickWorker(index)
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nobody was told")
	}
	s.eventually(s.idle, "the inbox is empty")
}

// idle reports whether the inbox is empty.
func (s *system) idle() bool {
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	in, err := s.store.PendingInbox(context.WithoutCancel(s.t.Context()), all, 1<<50, 1)
	require.NoError(s.t, err)
	return len(in) == 0
}
