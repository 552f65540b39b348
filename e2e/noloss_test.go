package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	. "omniservice/e2e" //nolint:revive // the scenarios read better without e2e. before each word
	"omniservice/hub"
	"omniservice/internal/testenv"
	"omniservice/omni/wire"
)

// A thousand numbered messages go each way: from contacts to agents, and from an agent through a socket to the carrier.
// Meanwhile sockets are cut at random, Redis is killed and comes back empty, and a node stops and comes back. All of them
// arrive, once and in order.
func TestNothingIsLost(t *testing.T) {
	for name, nodes := range map[string]int{"in process, one node": 1, "Redis, two nodes": 2} {
		t.Run(name, func(t *testing.T) {
			const contacts, agents = 20, 6
			messages := 1000
			if Raced {
				messages = 300
			}
			o := Options{Apart: true, Limits: unlimited, DrainTime: time.Second, Hub: hub.Options{MessageRate: 1e4, MessageBurst: 1e4}}
			var redis *testenv.Redis
			if nodes > 1 {
				redis = testenv.StartRedis(t)
				o.RedisURL = redis.URL()
			}
			d := NewDesk(t, Start(t, o))
			stops := d.System
			all := []*System{d.System}
			if nodes > 1 {
				stops = d.Node(t)
				all = append(all, stops)
			}
			lb, front := Balance(t, all...)
			fd := atFront(d, front)
			c := d.Ana.Connect(t)
			ids := make([]string, contacts)
			want := map[string]bool{}
			for i := range contacts {
				text := fmt.Sprintf("hello %d", -1-i)
				ids[i], want[text] = d.Conversation(t, c, Phone(i), text).ID, true
			}
			var fs followers
			for i := range agents {
				fs = append(fs, newFollower(t, fd, []*Agent{d.Ana, d.Ben}[i%2], front))
			}
			for _, f := range fs {
				require.True(t, f.reread(t)) // what was before it came
				f.resets = 0
			}

			began := time.Now()
			var writing sync.WaitGroup
			for contact := range contacts { // contacts to agents
				writing.Go(func() {
					for n := contact; n < messages; n += contacts {
						form := fd.Account.SMS(NewSID(), Phone(contact), Number, fmt.Sprintf("in %d", n))
						for {
							if status, err := fd.Account.Post(form); err == nil && status == http.StatusOK {
								break
							}
							pause(20 * time.Millisecond)
						}
						pause(100 * time.Millisecond)
					}
				})
			}
			writer := newFollower(t, fd, d.Ben, front)
			writing.Go(func() { // an agent to contacts
				for n := range messages {
					send := wire.SendMessage{InteractionID: ids[n%contacts], ClientID: NewClientID(), Payload: wire.SendPayload{Text: fmt.Sprintf("out %d", n)}}
					for !writer.client.Attempt(t, wire.CmdMessageSend, send) {
						for !writer.back(t) {
							pause(20 * time.Millisecond)
						}
					}
					pause(2 * time.Millisecond)
				}
			})
			for n := range messages {
				want[fmt.Sprintf("in %d", n)], want[fmt.Sprintf("out %d", n)] = true, true
			}
			done := make(chan struct{})
			go func() { writing.Wait(); close(done) }()
			cuts := 0
			until := func(end <-chan time.Time) {
				for {
					select {
					case <-end:
						return
					case <-done:
						return
					case <-time.After(50*time.Millisecond + rand.N(100*time.Millisecond)): // when a network fails
						if lb.CutOne() {
							cuts++
						}
						fs.back(t)
					}
				}
			}
			until(time.After(time.Second))
			if redis != nil {
				redis.Kill()
				until(time.After(500 * time.Millisecond))
				redis.Start()
				until(time.After(time.Second))
			}
			ctx, cancel := context.WithTimeout(t.Context(), Patience)
			defer cancel()
			require.NoError(t, stops.App.Stop(ctx))
			lb.Remove(stops)
			until(time.After(300 * time.Millisecond))
			stops.Boot(t, nil)
			lb.Add(stops)
			until(nil)
			Eventually(t, "the carrier has all", func() bool { return len(d.Twilio.Sent()) >= messages })
			missed, twice, disordered := fs.know(t, want)
			took := time.Since(began)

			crossed := 0
			for _, f := range fs {
				crossed += f.crossed
			}

			lost, rowsTwice, rowsDisordered := checkStored(t, d, want)
			sent, byContact := map[string]int{}, map[string][]int{}
			for _, m := range d.Twilio.Sent() {
				sent[m.Body]++
				byContact[m.To] = append(byContact[m.To], numberOf(t, m.Body))
			}
			sentTwice, sentDisordered := 0, 0
			for _, times := range sent {
				sentTwice += times - 1
			}
			for _, ns := range byContact {
				if !slices.IsSorted(ns) {
					sentDisordered++
				}
			}
			t.Logf("%s: %d messages each way in %v, %d sockets cut, node stopped, Redis lost: %v; agents (%d): missed %d, twice %d, out of order %d, crossed %d, resets %d; store: lost %d, twice %d, out of order %d; carrier: %d, twice %d, out of order %d",
				name, messages, took.Round(time.Millisecond), cuts, redis != nil, agents, missed, twice, disordered, crossed, fs.resets(), lost, rowsTwice, rowsDisordered, len(sent), sentTwice, sentDisordered)
			require.Zero(t, missed, "missed")
			require.Zero(t, twice, "twice")
			require.Zero(t, disordered, "out of order")
			if nodes == 1 {
				require.Zero(t, crossed, "an agent's messages are told in order, unless some wait for Redis at another node")
			}
			require.Zero(t, lost, "lost")
			require.Zero(t, rowsTwice, "stored twice")
			require.Zero(t, rowsDisordered, "stored out of order")
			require.Len(t, sent, messages)
			require.Zero(t, sentTwice+sentDisordered, "at the carrier")
			require.Positive(t, cuts)
		})
	}
}
