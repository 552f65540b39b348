package carriertest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/carriers"
	"omniservice/omni"
)

// SendCase is one message and what becomes of it.
type SendCase struct {
	Name    string            `json:"name"`
	Note    string            `json:"note,omitempty"`
	Config  map[string]string `json:"config,omitempty"` // settings beside those of the harness
	Message Message           `json:"message"`
	Answer  *APIAnswer        `json:"answer"` // nil: the carrier must not be called
	Request *APIRequest       `json:"request"`
	Result  *SendResult       `json:"result,omitempty"`
	Error   *SendError        `json:"error,omitempty"`
}

// Message is what a carrier reads of a message.
type Message struct {
	ID      string               `json:"id"`
	Payload omni.MessagePayload  `json:"payload"`
	ReplyTo string               `json:"replyTo,omitempty"`
	Publish *omni.PublishChannel `json:"publish,omitempty"`
}

// Service is the message as the pipeline hands it over.
func (m Message) Service() omni.ServiceMessage {
	return omni.ServiceMessage{ID: m.ID, Direction: omni.Outbound, Payload: m.Payload, ReplyTo: m.ReplyTo, Publish: m.Publish}
}

// APIAnswer is what the provider's API answers.
type APIAnswer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    string            `json:"body"`
}

// APIRequest is what it is called with.
type APIRequest struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // with query
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// SendResult is a carriers.SendResult in a file.
type SendResult struct {
	CarrierMessageID string      `json:"carrierMessageId"`
	Status           omni.Status `json:"status"`
	Segments         int         `json:"segments"`
	RecipientAliases []string    `json:"recipientAliases,omitempty"`
}

// SendError is a carriers.SendError in a file.
type SendError struct {
	Reason     omni.Reason `json:"reason"`
	Code       string      `json:"code"`
	RetryAfter int         `json:"retryAfter"`
	Tries      int         `json:"tries,omitempty"`
}

const (
	apiHost = "api.example.test"
	apiBase = "https://" + apiHost
)

// api stands in for the provider's API: it takes one call, which has to come.
type api struct {
	t      *testing.T
	answer *APIAnswer
	got    *APIRequest
}

// RoundTrip implements http.RoundTripper.
func (a *api) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.URL.Host != apiHost || r.URL.Scheme != "https":
		a.t.Errorf("called %s", r.URL.Host)
	case a.answer == nil:
		a.t.Errorf("called, though nothing was to be sent")
	case a.got != nil:
		a.t.Errorf("called twice")
	}
	body := ""
	if r.Body != nil {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	a.got = &APIRequest{Method: r.Method, Path: r.URL.RequestURI(), Headers: map[string]string{}, Body: body}
	for name := range r.Header {
		a.got.Headers[name] = r.Header.Get(name)
	}
	if a.answer == nil {
		a.answer = &APIAnswer{Status: http.StatusTeapot}
	}
	resp := &http.Response{
		StatusCode: a.answer.Status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(a.answer.Body)),
		Request: r, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	for name, value := range a.answer.Headers {
		resp.Header.Set(name, value)
	}
	return resp, nil
}

func (h Harness) sendCases(t *testing.T) map[string]SendCase {
	files, err := filepath.Glob(filepath.Join(h.Sends, "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files, "no send cases in %s", h.Sends)
	all := map[string]SendCase{}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		var c SendCase
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&c), file)
		require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".json"), c.Name, "a case is named as its file")
		all[file] = c
	}
	return all
}

func (h Harness) sender(t *testing.T, config map[string]string, o carriers.Options) carriers.Carrier {
	t.Helper()
	a := h.Account(h.Secret)
	maps.Copy(a.Config, config)
	o.WebhookURL = webhookURL
	o.Now = func() time.Time { return Now }
	c, err := h.Provider.Open(a, o)
	require.NoError(t, err)
	return c
}

func (h Harness) send(t *testing.T) {
	var message omni.ServiceMessage
	for file, c := range h.sendCases(t) {
		if len(c.Config) == 0 && (c.Result != nil || *update && c.Answer != nil) { // what follows has the harness's settings
			message = c.Message.Service()
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			h.sendCase(t, file, c)
		})
	}
	require.NotZero(t, message, "no send case succeeds")
	t.Run("every HTTP status has a reason", func(t *testing.T) { h.sendStatuses(t, message) })
	t.Run("hostile answers", func(t *testing.T) { h.sendHostile(t, message) })
	t.Run("faults of the network", func(t *testing.T) { h.sendFaults(t, message) })
}

func (h Harness) sendCase(t *testing.T, file string, want SendCase) {
	server := &api{t: t, answer: want.Answer}
	c := h.sender(t, want.Config, carriers.Options{APIBase: apiBase, HTTP: &http.Client{Transport: server}})
	result, err := c.Send(t.Context(), want.Message.Service())
	got := want
	got.Request, got.Result, got.Error = server.got, nil, nil
	if err == nil {
		got.Result = &SendResult{result.CarrierMessageID, result.Status, result.Segments, result.RecipientAliases}
	} else {
		require.Zero(t, result)
		e := h.sendError(t, err)
		got.Error = &SendError{e.Reason, e.Code, e.RetryAfter, e.Tries}
	}
	if *update {
		golden(t, file, got)
		return
	}
	require.Equal(t, want, got)
}

func (h Harness) sendError(t *testing.T, err error) *carriers.SendError {
	t.Helper()
	var e *carriers.SendError
	require.ErrorAs(t, err, &e)
	require.True(t, e.Reason.Valid(), "%q", e.Reason)
	require.LessOrEqual(t, len(e.Code), 64)
	h.silent(t, err)
	return e
}

func (h Harness) sendStatuses(t *testing.T, m omni.ServiceMessage) {
	for status := 200; status < 600; status++ {
		for _, body := range []string{"", "{}", "<html>", `{"code":null}`} {
			server := &api{t: t, answer: &APIAnswer{Status: status, Body: body}}
			c := h.sender(t, nil, carriers.Options{APIBase: apiBase, HTTP: &http.Client{Transport: server}})
			_, err := c.Send(t.Context(), m)
			e := h.sendError(t, err) // an answer without an id is no success, whatever its status
			if status/100 == 2 {
				require.Equal(t, omni.ReasonUnknown, e.Reason, "status %d: the message was taken", status)
			}
			if status == http.StatusTooManyRequests {
				require.Equal(t, omni.ReasonThrottled, e.Reason)
			}
			require.NotNil(t, server.got)
		}
	}
}

func (h Harness) sendHostile(t *testing.T, m omni.ServiceMessage) {
	for i, body := range hostile(64 << 10) {
		for _, status := range []int{http.StatusOK, http.StatusCreated, http.StatusBadRequest, http.StatusInternalServerError} {
			server := &api{t: t, answer: &APIAnswer{Status: status, Body: string(body)}}
			c := h.sender(t, nil, carriers.Options{APIBase: apiBase, HTTP: &http.Client{Transport: server}})
			_, err := c.Send(t.Context(), m)
			require.Error(t, err, "body %d", i)
			require.NotEmpty(t, h.sendError(t, err).Reason)
		}
	}
}

func (h Harness) sendFaults(t *testing.T, m omni.ServiceMessage) {
	arrived := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		arrived <- struct{}{}
		if r.Header.Get("X-Fault") == "reset" {
			if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
				_ = conn.Close()
			}
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	client := func(fault string) *http.Client {
		tr := &http.Transport{}
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			r = r.Clone(r.Context())
			r.Header.Set("X-Fault", fault)
			return tr.RoundTrip(r)
		})}
	}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := h.sender(t, nil, carriers.Options{APIBase: s.URL, HTTP: client("hang")}).Send(ctx, m)
	require.ErrorIs(t, err, context.Canceled, "a cancelled context stops the request")
	require.Equal(t, omni.ReasonUnknown, h.sendError(t, err).Reason, "the carrier may have it")

	_, err = h.sender(t, nil, carriers.Options{APIBase: s.URL, HTTP: client("reset")}).Send(t.Context(), m)
	require.Equal(t, omni.ReasonUnknown, h.sendError(t, err).Reason, "no answer: the carrier may have it")
	<-arrived

	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	_, err = h.sender(t, nil, carriers.Options{APIBase: s.URL, HTTP: client("hang")}).Send(ctx, m)
	require.Equal(t, omni.ReasonUnreachable, h.sendError(t, err).Reason, "nothing was sent")

	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	_, err = h.sender(t, nil, carriers.Options{APIBase: "http://" + l.Addr().String(), HTTP: client("")}).Send(t.Context(), m)
	require.Equal(t, omni.ReasonUnreachable, h.sendError(t, err).Reason, "the connection is refused")
	require.Empty(t, arrived, "and nothing is sent twice")
}
