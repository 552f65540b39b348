package whatsapp

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// phone is a number of the business account.
type phone struct {
	ID         text `json:"id"`
	Number     text `json:"display_phone_number"`
	Name       text `json:"verified_name"`
	Quality    text `json:"quality_rating"`
	Status     text `json:"status"`
	NameStatus text `json:"name_status"`
	Limit      text `json:"messaging_limit_tier"`
	Throughput struct {
		Level text `json:"level"`
	} `json:"throughput"`
}

// phones lists the numbers of the business account and remembers them. GET /{business account id}/phone_numbers
func (c *Carrier) phones(ctx context.Context) ([]phone, error) {
	a, err := c.call(ctx, http.MethodGet, "/"+c.config.wabaID+"/phone_numbers", url.Values{
		"fields": {"id,display_phone_number,verified_name,quality_rating,status,name_status,messaging_limit_tier,throughput"}, "limit": {"100"},
	}, nil)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data List[phone] `json:"data"`
	}
	if err := lenient(a.Body, &answer); err != nil {
		return nil, &carriers.SendError{Reason: omni.ReasonUnreachable, Err: carriers.MalformedJSON(err)}
	}
	var all []phone
	for p := range answer.Data.All() {
		if len(all) == maxPhones {
			break
		}
		all = append(all, p)
		number := address(string(p.Number))
		c.state.learn(number, string(p.ID))
		if p.Throughput.Level != "" {
			c.state.raise(number, p.Throughput.Level == "HIGH")
		}
	}
	return all, nil
}

// Limits of one number, by Meta's pages "Throughput" and "Pair rate limits", read 2026-11-23. How many messages to one
// recipient may go at once before they have to be paid back is what others have seen.
const (
	usualRate  = 80   // messages a second
	raisedRate = 1000 // after Meta raised it
	pairEvery  = 6 * time.Second
	pairBurst  = 45
)

// Pace implements carriers.Paced.
func (c *Carrier) Pace(_ omni.ChannelType, sender string) carriers.Pace {
	p := carriers.Pace{PerSecond: usualRate, PairEvery: pairEvery, PairBurst: pairBurst}
	switch {
	case c.config.perSecond > 0:
		p.PerSecond = c.config.perSecond
	case c.state.isFast(address(sender)):
		p.PerSecond = raisedRate
	}
	return p
}
