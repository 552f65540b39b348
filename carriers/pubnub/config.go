package pubnub

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	publishKey        = "publishKey"
	subscribeKey      = "subscribeKey"
	gatewayUserID     = "gatewayUserId"
	webhookScheme     = "webhookScheme"
	webhookHeader     = "webhookHeader"
	fileHosts         = "fileHosts"
	messagesPerSecond = "messagesPerSecond"
	messageHours      = "messageHours"
	customMessageType = "customMessageType"
	checkChannel      = "checkChannel"
	webhookToken      = "webhookToken"
	authToken         = "authToken"
	secretKey         = "secretKey"
)

// The webhook schemes.
const (
	schemeHeader   = "header"
	schemeFunction = "function"
)

// What holds where nothing is configured.
const (
	defaultUser   = "omni-gateway"
	defaultHeader = "Authorization"
	defaultPace   = 10 // messages in a second on one channel: subscribers lose what comes faster than they read
	defaultCheck  = "omni-check"
)

const (
	maxUser  = 92 // characters of a user id
	maxHosts = 20
)

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{Name: publishKey, Label: "Publish key", Required: true, Help: "Begins with pub-c-. Of the keyset that the app uses; one keyset for each environment."},
		{Name: subscribeKey, Label: "Subscribe key", Required: true, Help: "Begins with sub-c-. Of the same keyset. Events of another are ignored."},
		{
			Name: webhookToken, Label: "Webhook token", Secret: true, Required: true,
			Help: "A random text of 32 bytes or more. The action's header Authorization is Bearer and this; a Function signs with it.",
		},
		{
			Name: authToken, Label: "Access Manager token", Secret: true,
			Help: "Grants the gateway read and write on its channels, for its user id. To be replaced before it expires.",
		},
		{
			Name: secretKey, Label: "Secret key", Secret: true,
			Help: "Begins with sec-c-. Signs requests where there is no token. A token is better: this key may do everything.",
		},
		{
			Name: gatewayUserID, Label: "User id of the gateway",
			Help: "Whom the app sees as the sender of our messages, omni-gateway if empty. What comes in from it is our own and dropped.",
		},
		{Name: webhookScheme, Label: "Webhook scheme", Help: "header (if empty): Events & Actions with a secret header. function: a PubNub Function that signs."},
		{Name: webhookHeader, Label: "Webhook header", Help: "The header that holds the token, Authorization if empty. In another than that, Bearer may be left out."},
		{Name: fileHosts, Label: "Hosts of files", Help: "Where the app keeps files beside PubNub: host names, divided by commas. Files at other hosts are not fetched."},
		{Name: messagesPerSecond, Label: "Messages per second", Help: "The most that go out on one channel, 1 to 1000; 10 if empty. PubNub advises 10 to 15."},
		{Name: messageHours, Label: "Hours in history", Help: "How long PubNub keeps what we send; as the keyset says if empty."},
		{Name: customMessageType, Label: "Custom message type", Help: "3 to 50 letters, digits, - and _ that mark what we send; none if empty."},
		{Name: checkChannel, Label: "Channel for checks", Help: "One that the gateway may read, which need not exist, to try the keys with; omni-check if empty."},
	}
}

type config struct {
	publishKey   string
	subscribeKey string
	userID       string
	scheme       string
	header       string // canonical
	hosts        []string
	perSecond    float64
	hours        string // "" is not told
	messageType  string
	checkChannel string
	tokens       []omni.Secret // newest first; all of them are valid for webhooks
	auth         omni.Secret
	secretKey    omni.Secret
}

// signs reports whether requests are signed. A token makes that unnecessary.
func (c config) signs() bool { return c.auth.IsZero() && !c.secretKey.IsZero() }

func readConfig(a carriers.Account) (config, error) {
	get := func(name, otherwise string) string {
		if v := strings.TrimSpace(a.Config[name]); v != "" {
			return v
		}
		return otherwise
	}
	c := config{
		publishKey: get(publishKey, ""), subscribeKey: get(subscribeKey, ""), userID: get(gatewayUserID, defaultUser),
		scheme: get(webhookScheme, schemeHeader), header: http.CanonicalHeaderKey(get(webhookHeader, defaultHeader)),
		hours: get(messageHours, ""), messageType: get(customMessageType, ""), checkChannel: get(checkChannel, defaultCheck),
		perSecond: defaultPace, auth: a.Credential(authToken), secretKey: a.Credential(secretKey),
	}
	c.tokens = a.Secrets(webhookToken)
	bad := map[string]string{}
	require := func(ok bool, field, problem string) {
		if !ok {
			bad[field] = problem
		}
	}
	require(isWord(c.publishKey, 1, 100), publishKey, "must be letters, digits, - and _, as PubNub shows it")
	require(isWord(c.subscribeKey, 1, 100), subscribeKey, "must be letters, digits, - and _, as PubNub shows it")
	require(len(c.tokens) > 0, webhookToken, "is required")
	require(validUser(c.userID), gatewayUserID, "must be at most 92 characters without control characters")
	require(c.scheme == schemeHeader || c.scheme == schemeFunction, webhookScheme, "must be header or function")
	require(isWord(c.header, 1, 100), webhookHeader, "must be the name of an HTTP header")
	require(c.messageType == "" || isWord(c.messageType, 3, 50), customMessageType, "must be 3 to 50 letters, digits, - and _")
	require(omni.ValidPubNubChannel(c.checkChannel), checkChannel, "must be the name of a PubNub channel")
	if v := get(messagesPerSecond, ""); v != "" {
		n, err := strconv.Atoi(v)
		require(err == nil && n >= 1 && n <= 1000, messagesPerSecond, "must be a number between 1 and 1000")
		c.perSecond = float64(n)
	}
	if c.hours != "" {
		n, err := strconv.Atoi(c.hours)
		require(err == nil && n >= 1 && n <= 1_000_000, messageHours, "must be a number of hours")
	}
	for host := range strings.SplitSeq(get(fileHosts, ""), ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host == "" {
			continue
		}
		require(len(c.hosts) < maxHosts && validHost(host), fileHosts, "must be at most 20 host names, divided by commas")
		c.hosts = append(c.hosts, host)
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the PubNub account is not set up right")
		p.Fields = bad
		return config{}, p
	}
	c.hosts = slices.Compact(c.hosts)
	return c, nil
}

// isWord reports whether s is from shortest to longest letters, digits, - and _.
func isWord(s string, shortest, longest int) bool {
	return len(s) >= shortest && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return !unreserved(r) || r == '.' })
}

func validUser(s string) bool {
	return s != "" && len(s) <= maxAddress && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxUser &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func validHost(s string) bool {
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool { return !unreserved(r) && r != ':' })
}
