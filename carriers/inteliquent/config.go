package inteliquent

import (
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	outboundKey       = "outboundKey"
	scheme            = "scheme"
	apiKey            = "apiKey"
	headerName        = "headerName"
	headerValue       = "headerValue"
	numbers           = "numbers"
	deliveryReceipts  = "deliveryReceipts"
	messagesPerSecond = "messagesPerSecond"
)

// Schemes by which a webhook shows that Inteliquent sent it.
const (
	schemeDigest = "digest" // SHA-256 of API key and token
	schemeHMAC   = "hmac"   // HMAC-SHA256 of the token
	schemeEither = "either" // one of the two
	schemeHeader = "header" // a header that was agreed
	schemePath   = "path"   // the address alone, which nobody can guess
)

// minPath is the shortest public id that is as good as a secret, in characters: 128 bits in base 64.
const minPath = 22

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{
			Name: outboundKey, Label: "Outbound API key", Secret: true, Required: true,
			Help: "The key of the message broker from the customer portal. Messages are sent with it.",
		},
		{
			Name: apiKey, Label: "Inbound API key", Secret: true,
			Help: "The apiKey that the webhook was configured with (configureAuthorization): make one up, at least 16 characters.",
		},
		{
			Name: scheme, Label: "Webhook authentication",
			Help: "digest (if empty), hmac, either of them, header or path. With path nothing is asked for: whoever knows the webhook's address can post to it.",
		},
		{Name: headerName, Label: "Header name", Help: "With header: the headerName that the webhook was configured with."},
		{Name: headerValue, Label: "Header value", Secret: true, Help: "With header: its headerValue, at least 16 characters."},
		{
			Name: numbers, Label: "Our numbers",
			Help: "The numbers of this account, separated by commas. Needed to find ours among the recipients of a group message.",
		},
		{
			Name: deliveryReceipts, Label: "Delivery receipts",
			Help: "yes if the account has message delivery receipts switched on (msgDeliveryReceipt). They are off unless you had them switched on.",
		},
		{
			Name: messagesPerSecond, Label: "Messages a second",
			Help: "How many messages one number may send a second, such as 1 or 0.5, where its campaign sets a limit. Empty: no limit here.",
		},
	}
}

// Config is what an account has configured.
type Config struct {
	OutboundKey  omni.Secret
	Scheme       string        // digest, hmac, either, header or path
	APIKeys      []omni.Secret // of webhooks, newest first; all of them are valid
	HeaderName   string
	HeaderValues []omni.Secret // newest first; all of them are valid

	Numbers           []string // ours, E.164; empty: not told
	DeliveryReceipts  bool     // the account has them switched on
	MessagesPerSecond float64  // of one number; 0: no limit
}

// readConfig reads an account's configuration and reports all that is wrong with it.
func readConfig(a carriers.Account) (Config, error) {
	get := func(name string) string { return strings.TrimSpace(a.Config[name]) }
	c := Config{
		OutboundKey: a.Credential(outboundKey), Scheme: get(scheme), APIKeys: a.Secrets(apiKey),
		HeaderName: get(headerName), HeaderValues: a.Secrets(headerValue),
	}
	if c.Scheme == "" {
		c.Scheme = schemeDigest
	}
	bad := map[string]string{}
	if c.OutboundKey.IsZero() {
		bad[outboundKey] = "is required"
	}
	c.checkWebhooks(a, bad)
	for n := range strings.FieldsFuncSeq(get(numbers), func(r rune) bool { return r == ',' || r == ';' || r == '\n' }) {
		e164, err := number(numbers, n)
		if err != nil || !isNumber(e164) {
			bad[numbers] = "must be numbers of North America, separated by commas"
			continue
		}
		c.Numbers = append(c.Numbers, e164)
	}
	switch strings.ToLower(get(deliveryReceipts)) {
	case "", "no", "n":
	case "yes", "y":
		c.DeliveryReceipts = true
	default:
		bad[deliveryReceipts] = "must be yes or no"
	}
	if s := get(messagesPerSecond); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0.001 && n <= 10_000) {
			bad[messagesPerSecond] = "must be a number between 0.001 and 10000"
		}
		c.MessagesPerSecond = n
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the Inteliquent account is not set up right")
		p.Fields = bad
		return Config{}, p
	}
	return c, nil
}

// checkWebhooks looks at what webhooks bring.
func (c Config) checkWebhooks(a carriers.Account, bad map[string]string) {
	switch c.Scheme {
	case schemeDigest, schemeHMAC, schemeEither:
		if len(c.APIKeys) == 0 {
			bad[apiKey] = "is required, unless webhooks have a header or are told by their path alone"
		}
	case schemeHeader:
		if !isToken(c.HeaderName) {
			bad[headerName] = "must be the name of a header"
		}
		if len(c.HeaderValues) == 0 {
			bad[headerValue] = "is required with a header"
		}
	case schemePath:
		if len(a.PublicID) < minPath {
			bad[scheme] = "cannot be path: the address of the webhook is too short to be a secret"
		}
	default:
		bad[scheme] = "must be digest, hmac, either, header or path"
	}
}

// isToken reports whether s can be the name of a header (RFC 9110 §5.6.2).
func isToken(s string) bool {
	return s != "" && len(s) <= 255 && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == ""
}
