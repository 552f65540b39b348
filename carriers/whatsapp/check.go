package whatsapp

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

const phoneFields = "id,display_phone_number,verified_name,quality_rating,status,messaging_limit_tier,throughput"

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
		"fields": {phoneFields}, "limit": {"100"},
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

// Check implements carriers.Checker: the token, the numbers with their quality, whether the app gets the account's
// webhooks, and where those go.
func (c *Carrier) Check(ctx context.Context) []carriers.Check {
	if c.config.wabaID == "" {
		return c.checkNumbers(ctx)
	}
	all := []carriers.Check{c.checkToken(ctx)}
	if !all[0].OK {
		return all // the others would fail for the same reason
	}
	all = append(all, c.checkSenders(ctx)...)
	all = append(all, c.checkSubscription(ctx))
	if c.config.appID != "" {
		all = append(all, c.checkWebhook(ctx))
	}
	return all
}

// failed is a check that could not be made.
func failed(name string, err error, advice string) carriers.Check {
	detail := "Meta did not answer as it should."
	if p, ok := errors.AsType[*omni.Problem](Problem(err)); ok {
		detail = strings.TrimSuffix(p.Message, ".") + "."
	}
	if s, ok := errors.AsType[*carriers.SendError](err); ok {
		if f, ok := ErrorCode(s.Code).find(); ok {
			detail = f.meaning
		}
		if s.Retryable() {
			advice = "Try again later."
		}
	}
	return carriers.Check{Name: name, Detail: detail + " " + advice}
}

const tokenAdvice = "Make a system user's token with whatsapp_business_messaging and whatsapp_business_management for this business account."

func (c *Carrier) checkToken(ctx context.Context) carriers.Check {
	a, err := c.call(ctx, http.MethodGet, "/"+c.config.wabaID, url.Values{"fields": {"id,name,account_review_status"}}, nil)
	if err != nil {
		return failed("credentials", err, tokenAdvice)
	}
	var account struct {
		Name   text `json:"name"`
		Review text `json:"account_review_status"`
	}
	_ = lenient(a.Body, &account)
	check := carriers.Check{Name: "credentials", OK: true, Detail: "The token works for the business account " + quote(account.Name) + "."}
	switch account.Review {
	case "", "APPROVED":
	default:
		check.Detail += " Meta's review of it: " + string(upper(account.Review)) + "."
	}
	return check
}

// checkNumbers looks at the numbers that are configured, where no business account is.
func (c *Carrier) checkNumbers(ctx context.Context) []carriers.Check {
	if len(c.config.phones) == 0 {
		return []carriers.Check{{Name: "credentials", Detail: "Neither a business account nor a number is configured. Enter the WhatsApp Business Account ID."}}
	}
	var all []carriers.Check
	for _, number := range slices.Sorted(maps.Keys(c.config.phones)) {
		a, err := c.call(ctx, http.MethodGet, "/"+c.config.phones[number], url.Values{"fields": {phoneFields}}, nil)
		if err != nil {
			all = append(all, failed("sender", err, tokenAdvice))
			continue
		}
		var p phone
		_ = lenient(a.Body, &p)
		all = append(all, p.check())
	}
	return all
}

func (c *Carrier) checkSenders(ctx context.Context) []carriers.Check {
	phones, err := c.phones(ctx)
	switch {
	case err != nil:
		return []carriers.Check{failed("sender", err, tokenAdvice)}
	case len(phones) == 0:
		return []carriers.Check{{Name: "sender", Detail: "The business account has no number. Add one in WhatsApp Manager."}}
	}
	var all []carriers.Check
	for _, p := range phones {
		all = append(all, p.check())
	}
	return all
}

// check says how a number stands. One that people complain about, or that is not connected, is no good.
func (p phone) check() carriers.Check {
	words := []string{"The number " + address(string(p.Number))}
	if p.Name != "" {
		words = append(words, "is shown as "+quote(p.Name))
	}
	check := carriers.Check{Name: "sender", OK: true}
	add := func(what string, value text) {
		if s := upper(value); s != "" {
			words = append(words, what+" "+string(s))
		}
	}
	add("quality", p.Quality)
	add("status", p.Status)
	add("limit", p.Limit)
	add("throughput", p.Throughput.Level)
	check.Detail = strings.Join(words, ", ") + "."
	if upper(p.Quality) == "RED" {
		check.OK = false
		check.Detail += " People block or report it: send less, and only what they asked for."
	}
	if s := upper(p.Status); s != "" && s != "CONNECTED" {
		check.OK = false
		check.Detail += " It has to be registered before it can send: look at it in WhatsApp Manager."
	}
	return check
}

func (c *Carrier) checkSubscription(ctx context.Context) carriers.Check {
	const name = "subscription"
	a, err := c.call(ctx, http.MethodGet, "/"+c.config.wabaID+"/subscribed_apps", nil, nil)
	if err != nil {
		return failed(name, err, tokenAdvice)
	}
	var answer struct {
		Data List[struct {
			App struct {
				ID   text `json:"id"`
				Name text `json:"name"`
			} `json:"whatsapp_business_api_data"`
			Override text `json:"override_callback_uri"`
		}] `json:"data"`
	}
	_ = lenient(a.Body, &answer)
	for s := range answer.Data.Some(maxPhones) {
		switch {
		case c.config.appID != "" && string(s.App.ID) != c.config.appID:
		case s.Override != "" && c.webhookURL != "" && string(s.Override) != c.webhookURL:
			return carriers.Check{Name: name, Detail: "Webhooks of the business account go to another address by an override. Remove it, or set it to this account's webhook URL."}
		default:
			return carriers.Check{Name: name, OK: true, Detail: "The app " + quote(s.App.Name) + " gets the business account's webhooks."}
		}
	}
	return carriers.Check{Name: name, Detail: "The app does not get the business account's webhooks: test events come, real ones do not. Call POST /" + c.config.wabaID + "/subscribed_apps with the token."}
}

// checkWebhook looks at the app's own settings, which takes the app's own token.
func (c *Carrier) checkWebhook(ctx context.Context) carriers.Check {
	const name = "webhook"
	r, err := c.newRequest(ctx, http.MethodGet, "/"+c.config.appID+"/subscriptions", nil, nil)
	if err != nil {
		return failed(name, err, "")
	}
	r.URL.RawQuery = "" // a proof is of the other token
	r.Header.Set("Authorization", "Bearer "+c.config.appID+"|"+c.config.appSecrets[0].Reveal())
	a, err := c.exchange(r)
	if err != nil {
		return failed(name, err, "Check the app ID and the app secret.")
	}
	var answer struct {
		Data List[struct {
			Object   text                      `json:"object"`
			Callback text                      `json:"callback_url"`
			Active   *flag                     `json:"active"`
			Fields   List[struct{ Name text }] `json:"fields"`
		}] `json:"data"`
	}
	_ = lenient(a.Body, &answer)
	for s := range answer.Data.Some(maxPhones) {
		if s.Object != webhookObject {
			continue
		}
		if s.Active != nil && !bool(*s.Active) || c.webhookURL != "" && s.Callback != "" && string(s.Callback) != c.webhookURL {
			return carriers.Check{Name: name, Detail: "The app's callback URL is another, or is switched off. Enter this account's webhook URL in the app's WhatsApp configuration."}
		}
		fields := map[text]bool{}
		for f := range s.Fields.Some(maxPhones) {
			fields[f.Name] = true
		}
		var missing []string
		for _, f := range wantedFields {
			if !fields[text(f)] {
				missing = append(missing, f)
			}
		}
		if len(missing) > 0 {
			return carriers.Check{Name: name, Detail: "The webhook lacks fields: " + strings.Join(missing, ", ") + ". Subscribe to them in the app's WhatsApp configuration."}
		}
		return carriers.Check{Name: name, OK: true, Detail: "The app posts to this account's webhook URL."}
	}
	return carriers.Check{Name: name, Detail: "The app has no webhook for WhatsApp. Enter this account's webhook URL and the verify token in the app's WhatsApp configuration."}
}

// wantedFields are the fields of a webhook without which something is missed.
var wantedFields = []string{
	"messages", "message_template_status_update", "message_template_quality_update", "message_template_components_update",
	"template_category_update", "account_update", "phone_number_quality_update", "user_preferences",
}

// quote shows a name that somebody chose.
func quote(name text) string {
	if s := omni.CleanName(string(name)); s != "" {
		return `"` + s + `"`
	}
	return "(without a name)"
}
