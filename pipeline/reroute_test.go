package pipeline_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/omni"
	"omniservice/pipeline"
	"omniservice/store"
)

// sharingCarrier is a fake whose webhooks are words, each a part of the account that it begins with.
type sharingCarrier struct{ fakeCarrier }

func (*sharingCarrier) Parts(body []byte) []reroute.Part {
	var parts []reroute.Part
	for i, w := range bytes.Fields(body) {
		parts = append(parts, reroute.Part{WABAID: string(w[:1]), Index: i})
	}
	return parts
}

func (*sharingCarrier) Join(body []byte, parts []reroute.Part) ([]byte, error) {
	all := bytes.Fields(body)
	var some [][]byte
	for _, p := range parts {
		some = append(some, all[p.Index])
	}
	return bytes.Join(some, []byte(" ")), nil
}

func (*sharingCarrier) Sign(h http.Header, _ []byte) { h.Set("X-Signed", "yes") }

// environment is another gateway that shares our webhook.
type environment struct {
	*httptest.Server

	status atomic.Int64
	tries  atomic.Int64
	hold   chan struct{} // if set, it answers when this is closed

	mu    sync.Mutex
	taken []string
}

func newEnvironment(t *testing.T) *environment {
	e := &environment{}
	e.status.Store(http.StatusOK)
	e.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.tries.Add(1)
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("X-Signed") != "yes" || r.Header.Get(reroute.Header) != "staging" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		if e.hold != nil {
			<-e.hold
		}
		status := int(e.status.Load())
		if status == http.StatusOK {
			e.mu.Lock()
			e.taken = append(e.taken, string(body))
			e.mu.Unlock()
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *environment) got() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string{}, e.taken...)
}

// sharing is a system one of whose webhooks is shared with e, which owns what begins with b.
func sharing(t *testing.T, e *environment) (*system, omni.RerouteMapping) {
	s := newSystem(t, func(o *pipeline.Options) { o.RerouteHTTP = e.Client() })
	s.carrier.shares = true
	m := omni.RerouteMapping{
		ID: omni.NewID(), Tenant: s.tenant, CarrierAccountID: s.account.ID, Mapper: omni.RerouteByWABA, Key: "b",
		Environment: "staging", URL: e.URL, Version: 1, CreatedAt: 1, SchemaVersion: omni.CurrentSchema,
	}
	require.NoError(t, s.store.RerouteMappings().Create(t.Context(), s.tenant, m))
	return s.run(), m
}

// share gives a webhook to the pipeline as the server does. It returns what was ours of it.
func (s *system) share(body string, header ...string) string {
	s.t.Helper()
	a, err := s.Account(s.t.Context(), s.account.PublicID)
	require.NoError(s.t, err)
	r := carriers.WebhookRequest{Method: http.MethodPost, URL: "https://gw.example.test/webhooks/test/x", Header: http.Header{}, Body: []byte(body)}
	for _, h := range header {
		r.Header.Set(h, "x")
	}
	own, elsewhere, err := s.Share(s.t.Context(), a, r)
	require.NoError(s.t, err)
	require.NoError(s.t, s.Accept(s.t.Context(), a, r, carriers.Parsed{}, elsewhere...))
	return string(own)
}

func (s *system) pending() int {
	s.t.Helper()
	all := make([]int, store.Partitions)
	for i := range all {
		all[i] = i
	}
	rs, err := s.store.PendingInbox(s.t.Context(), all, 1<<50, 1000)
	require.NoError(s.t, err)
	return len(rs)
}

func (s *system) asides() []store.SetAside {
	s.t.Helper()
	l, err := s.store.ListAside(s.t.Context(), s.tenant, store.Page{})
	require.NoError(s.t, err)
	return l.Items
}

func TestAnotherEnvironmentGetsItsPart(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	s, m := sharing(t, e)
	require.Equal(t, "a1 a2", s.share("a1 b1 a2 b2"))
	require.Empty(t, s.share("b3"), "nothing of it is ours")
	require.Equal(t, "a3", s.share("a3"))
	require.Equal(t, "b4", s.share("b4", reroute.Header), "what was forwarded goes no further")
	s.eventually(func() bool { return len(e.got()) == 2 && s.pending() == 0 }, "the parts arrive, once")
	require.ElementsMatch(t, []string{"b1 b2", "b3"}, e.got())
	attempts := s.Attempts(m.ID)
	require.Len(t, attempts, 2)
	for _, a := range attempts {
		require.Equal(t, http.StatusOK, a.Status)
		require.Equal(t, "staging", a.Environment)
	}
	require.Empty(t, s.asides())
}

func TestAnEnvironmentThatIsAwayGetsItLater(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.status.Store(http.StatusServiceUnavailable)
	s, _ := sharing(t, e)
	s.share("b1")
	s.share("b2")
	s.eventually(func() bool { return e.tries.Load() >= 3 }, "attempts")
	e.status.Store(http.StatusOK)
	s.eventually(func() bool { return len(e.got()) == 2 && s.pending() == 0 }, "both arrive")
	require.ElementsMatch(t, []string{"b1", "b2"}, e.got())
}

func TestWhatAnEnvironmentRefusesIsSetAside(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.status.Store(http.StatusBadRequest)
	s, m := sharing(t, e)
	s.share("b1")
	s.eventually(func() bool { return len(s.asides()) == 1 }, "set aside")
	require.Equal(t, store.SetAsideNotForwarded, s.asides()[0].Reason)
	require.Equal(t, "b1", string(s.asides()[0].Record.Raw.Body))
	require.Equal(t, int64(1), e.tries.Load())

	e.status.Store(http.StatusServiceUnavailable)
	s.share("b2")
	s.eventually(func() bool { return e.tries.Load() >= 2 }, "an attempt")
	require.NoError(t, s.store.RerouteMappings().Delete(t.Context(), s.tenant, m.ID))
	s.eventually(func() bool { return len(s.asides()) == 2 && s.pending() == 0 }, "whose mapping is gone")
}

func TestAnEnvironmentThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	e := newEnvironment(t)
	e.hold = make(chan struct{})
	s, _ := sharing(t, e)
	for range 40 { // more than are forwarded at once
		s.share("b1")
	}
	s.eventually(func() bool { return e.tries.Load() >= 30 }, "attempts under way")
	s.accept(inbound("in-1", "+14155550123", "hello"))
	s.eventually(func() bool { return len(s.interactions()) == 1 }, "the message beside them")
	require.Empty(t, e.got())
	close(e.hold)
	s.eventually(func() bool { return len(e.got()) == 40 && s.pending() == 0 }, "all of them arrive")
}
