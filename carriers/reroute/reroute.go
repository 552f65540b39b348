// Package reroute shares one webhook among several environments. A provider's app may have one address for its webhooks while
// production, staging and a colleague's trial each own some of its accounts: the environment that has the address gives the
// others their part. What belongs to whom is said by mappings (omni.RerouteMapping).
//
// A forwarded request is signed as the provider signs, so that the other environment verifies it like any webhook; it carries
// Header, and is never forwarded again.
package reroute

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"omniservice/omni"
)

// Header marks a request that was forwarded already. Its value is the name of the environment that it is for.
const Header = "X-Omni-Rerouted"

// Mapping says which environment gets what. (Seed: ReRouterMapping.)
type Mapping = omni.RerouteMapping

// Mapper is what of a notification a mapping looks at. (Seed: ReRoutingMapper.)
type Mapper = omni.RerouteMapper

// Part is a piece of a webhook that belongs to one environment as a whole.
type Part struct {
	WABAID        string // WhatsApp Business Account
	PhoneNumberID string // "" where the part is about the account, not about a number
	Template      string // name of the template that it is about
	Index         int    // place in the webhook
}

// Sharer is a carrier whose webhook several environments may share. Methods are safe for concurrent use.
type Sharer interface {
	// Parts cuts the body of a verified webhook into parts, in order. A body that cannot be read has none.
	Parts(body []byte) []Part
	// Join makes a body of some of the parts that Parts gave for a body, in order.
	Join(body []byte, parts []Part) ([]byte, error)
	// Sign signs a body as the provider does.
	Sign(h http.Header, body []byte)
}

// Choose finds the mapping of a part: the mappers are tried in the order of omni.RerouteMappers, and of template prefixes the
// longest wins. ok is false where there is none, or where it says that the part is ours.
func Choose(mappings []Mapping, p Part) (m Mapping, ok bool) {
	for _, mapper := range omni.RerouteMappers {
		best := -1
		for i, c := range mappings {
			if c.Disabled || c.Mapper != mapper || !matches(c, p) {
				continue
			}
			if best < 0 || len(c.Key) > len(mappings[best].Key) {
				best = i
			}
		}
		if best >= 0 {
			return mappings[best], mappings[best].URL != ""
		}
	}
	return Mapping{}, false
}

func matches(m Mapping, p Part) bool {
	switch m.Mapper {
	case omni.RerouteByWABA:
		return p.WABAID == m.Key
	case omni.RerouteByPhoneNumber:
		return p.PhoneNumberID == m.Key
	case omni.RerouteByTemplatePrefix:
		return p.Template != "" && strings.HasPrefix(p.Template, m.Key)
	case omni.RerouteDefault:
		return true
	default:
		return false
	}
}

// Destination is what one environment gets of a webhook.
type Destination struct {
	Mapping Mapping
	Body    []byte // the webhook's own bytes where all of it goes there
}

// Split shares out the body of a verified webhook. own is what stays here: nil if nothing does, the very bytes if all does.
func Split(s Sharer, mappings []Mapping, body []byte) (own []byte, others []Destination, err error) {
	if len(mappings) == 0 {
		return body, nil, nil
	}
	parts := s.Parts(body)
	var mine []Part
	byURL := map[string]int{}
	var theirs [][]Part
	for _, p := range parts {
		m, ok := Choose(mappings, p)
		if !ok {
			mine = append(mine, p)
			continue
		}
		i, seen := byURL[m.URL]
		if !seen {
			i = len(others)
			byURL[m.URL] = i
			others = append(others, Destination{Mapping: m})
			theirs = append(theirs, nil)
		}
		theirs[i] = append(theirs[i], p)
	}
	if len(mine) == len(parts) {
		return body, nil, nil
	}
	cut := func(some []Part) ([]byte, error) {
		if len(some) == len(parts) {
			return body, nil
		}
		return s.Join(body, some)
	}
	for i := range others {
		if others[i].Body, err = cut(theirs[i]); err != nil {
			return nil, nil, fmt.Errorf("part for environment %s: %w", others[i].Mapping.Environment, err)
		}
	}
	if len(mine) > 0 {
		if own, err = cut(mine); err != nil {
			return nil, nil, fmt.Errorf("own part: %w", err)
		}
	}
	return own, others, nil
}

// maxAnswer is how much of another environment's answer is kept, in bytes.
const maxAnswer = 512

// HTTPResponse is what came of one attempt to forward. (Seed: ReRouterHttpResponse.)
type HTTPResponse struct {
	URL         string      `json:"url"`
	Environment string      `json:"environment"`
	Status      int         `json:"status"`          // 0: no answer
	Body        string      `json:"body"`            // the beginning of the answer
	DurationMs  int64       `json:"durationMs"`      // milliseconds
	Error       string      `json:"error,omitempty"` // why there is no answer
	At          omni.Millis `json:"at"`
}

// OK reports whether the other environment has it.
func (r HTTPResponse) OK() bool { return r.Status/100 == 2 }

// Retryable reports whether another attempt may succeed: no answer, a server's fault, too many requests.
func (r HTTPResponse) Retryable() bool {
	return r.Status == 0 || r.Status/100 == 5 || r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout
}

// Forward makes one attempt. The client bounds time and addresses; redirects are answers.
func Forward(ctx context.Context, client *http.Client, s Sharer, m Mapping, body []byte, now func() time.Time) (res HTTPResponse) {
	began := now()
	res = HTTPResponse{URL: m.URL, Environment: m.Environment, At: omni.MillisOf(began)}
	defer func() { res.DurationMs = now().Sub(began).Milliseconds() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(body))
	if err != nil {
		res.Error = "the address is not a URL"
		return res
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set(Header, m.Environment)
	s.Sign(r.Header, body)
	once := *client
	once.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := once.Do(r)
	if err != nil {
		res.Error = reason(err)
		return res
	}
	defer func() { _ = answer.Body.Close() }()
	res.Status = answer.StatusCode
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxAnswer)) // what can be read of it tells enough
	res.Body = strings.ToValidUTF8(string(text), "")
	return res
}

// reason is an error without the address in it: that stands beside it.
func reason(err error) string {
	for {
		next, ok := err.(interface{ Unwrap() error })
		if !ok || next.Unwrap() == nil {
			return err.Error()
		}
		err = next.Unwrap()
	}
}
