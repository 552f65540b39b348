// Package follow is an example: a program that hears of everything in an organisation, once and in order, whatever happens
// to its connection. It needs an API key (`omniservice apikey create --name follower --role service`).
package follow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Event is what happened. Offset is 0 in passing events, such as typing.
type Event struct {
	Type   string          `json:"type"`
	Topic  string          `json:"topic"`
	Offset int64           `json:"offset"`
	At     int64           `json:"at"` // milliseconds since 1970
	Data   json.RawMessage `json:"data"`
}

// Changes is a page of GET /api/v1/sync: records as they are now. They are merged by id; the same may come again.
type Changes struct {
	State        string            `json:"state"`
	Interactions []json.RawMessage `json:"interactions"`
	Messages     []json.RawMessage `json:"messages"`
	Next         string            `json:"next"`
	More         bool              `json:"more"`
}

type position struct {
	Topic  string `json:"topic"`
	Epoch  string `json:"epoch"`
	Offset int64  `json:"offset"`
	State  string `json:"state,omitempty"`
}

// Client follows. Its fields are set before Run.
type Client struct {
	URL     string                          // such as https://chat.example.com
	Key     string                          // an API key
	Handle  func(Event)                     // each durable event once, in order per topic; passing ones as they come
	Changed func(Changes)                   // what was missed, when the topics' histories do not reach back
	Reload  func(ctx context.Context) error // nor does sync: read by REST whatever is needed

	topics map[string]position
	since  string
}

// refused is an answer that coming back does not help.
type refused struct{ code, message string }

func (r refused) Error() string { return r.code + ": " + r.message }

var errGap = errors.New("an event is missing")

// Run follows until ctx ends, or the gateway says that coming back is of no use.
func (c *Client) Run(ctx context.Context) error {
	c.topics = map[string]position{}
	for attempt := 0; ; attempt++ {
		began := time.Now()
		err := c.connection(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var no refused
		if errors.As(err, &no) || !comesBack(websocket.CloseStatus(err)) {
			return err
		}
		if time.Since(began) > 5*time.Second {
			attempt = 0 // it worked for a while: this is a new fault
		}
		select {
		case <-time.After(delay(attempt, err)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// comesBack is the table of close codes; -1 is a connection that was cut.
func comesBack(code websocket.StatusCode) bool {
	final := []websocket.StatusCode{1002, 1007, 1008, 1009, 4401, 4403} // a key is not renewed, so 4401 is the end for it
	return !slices.Contains(final, code) && (code < 4500 || code > 4999)
}

var retry = regexp.MustCompile(`retry=(\d{1,7})`)

// delay is random, so that those who lost the same node do not come back together: at once, then from up to 0.5 s to
// up to 20 s; or within the time that a gateway which stops asks for.
func delay(attempt int, err error) time.Duration {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		if m := retry.FindStringSubmatch(closed.Reason); m != nil {
			ms, _ := strconv.Atoi(m[1])
			return time.Duration(rand.Int64N(int64(ms)+1)) * time.Millisecond // #nosec G404 -- a pause is no secret
		}
	}
	if attempt == 0 {
		return 0
	}
	most := min(20*time.Second, 500*time.Millisecond<<min(attempt-1, 10))
	return time.Duration(rand.Int64N(int64(most))) // #nosec G404 -- the same
}

func (c *Client) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ws, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(c.URL, "http")+"/ws", &websocket.DialOptions{ //nolint:bodyclose // there is none to close
		Subprotocols: []string{"omni.v1"},
	})
	if err != nil {
		return err
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(1 << 20)
	resume := make([]position, 0, len(c.topics))
	for _, p := range c.topics {
		resume = append(resume, position{Topic: p.Topic, Epoch: p.Epoch, Offset: p.Offset})
	}
	connect, err := json.Marshal(map[string]any{
		"id": 1, "type": "connect", "data": map[string]any{"apiKey": c.Key, "client": "follow/1", "resume": resume},
	})
	if err != nil {
		return err
	}
	if err := ws.Write(ctx, websocket.MessageText, connect); err != nil {
		return err
	}
	for {
		// A heartbeat comes every 25 s: longer silence is a dead connection.
		silence, heard := context.WithTimeout(ctx, 40*time.Second)
		_, frame, err := ws.Read(silence)
		heard()
		if err != nil {
			return err
		}
		for line := range bytes.SplitSeq(frame, []byte{'\n'}) {
			if err := c.line(ctx, line); err != nil {
				return err
			}
		}
	}
}

// line handles one object: the answer to connect, or an event.
func (c *Client) line(ctx context.Context, line []byte) error {
	var f struct {
		Event

		ID    int64 `json:"id"`
		Error struct{ Code, Message string }
	}
	if err := json.Unmarshal(line, &f); err != nil {
		return err
	}
	switch {
	case f.Type == "error" && (f.Error.Code == "unauthenticated" || f.Error.Code == "forbidden"):
		return refused{f.Error.Code, f.Error.Message}
	case f.Type == "error":
		return fmt.Errorf("connect: %s: %s", f.Error.Code, f.Error.Message)
	case f.ID == 1:
		return c.connected(ctx, f.Data)
	case f.Type == "heartbeat":
		return c.heartbeat(f.Data)
	case f.Offset == 0:
		c.Handle(f.Event)
		return nil
	}
	p := c.topics[f.Topic]
	if f.Offset <= p.Offset {
		return nil
	}
	if p.Topic != "" && f.Offset > p.Offset+1 {
		return errGap // resuming brings it
	}
	c.topics[f.Topic] = position{Topic: f.Topic, Epoch: p.Epoch, Offset: f.Offset}
	c.Handle(f.Event)
	return nil
}

func (c *Client) connected(ctx context.Context, data json.RawMessage) error {
	var answer struct{ Topics []position }
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	first, missed, granted := c.since == "", false, map[string]position{}
	for _, t := range answer.Topics {
		if t.State == "recovered" {
			t.Offset = c.topics[t.Topic].Offset // the events up to the new one follow
		}
		missed = missed || t.State == "reset" || t.State == "fresh" && !first
		granted[t.Topic] = t
	}
	c.topics = granted
	if !first && !missed {
		return nil
	}
	return c.sync(ctx)
}

// heartbeat compares what the bus has with what came. An event may come behind the heartbeat that told of it, so a client
// that has time gives it 2 s; this one asks again, which costs little.
func (c *Client) heartbeat(data json.RawMessage) error {
	var beat struct {
		Offsets map[string]int64
		Epochs  map[string]string
	}
	if err := json.Unmarshal(data, &beat); err != nil {
		return err
	}
	for topic, offset := range beat.Offsets {
		if p, ok := c.topics[topic]; ok && p.Offset < offset {
			return errGap
		}
	}
	for topic, epoch := range beat.Epochs {
		if p, ok := c.topics[topic]; ok && p.Epoch != epoch {
			return errGap
		}
	}
	return nil
}

// sync asks for all that changed since it last asked. Without a place to begin from it gets one.
func (c *Client) sync(ctx context.Context) error {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/api/v1/sync?limit=200&since="+url.QueryEscape(c.since), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+c.Key)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		var page Changes
		err = json.NewDecoder(res.Body).Decode(&page)
		_ = res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			return errors.Join(fmt.Errorf("sync: %s", res.Status), err)
		}
		c.since = page.Next
		if page.State == "reset" {
			return c.Reload(ctx)
		}
		c.Changed(page)
		if !page.More {
			return nil
		}
	}
}
