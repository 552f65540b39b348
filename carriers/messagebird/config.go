package messagebird

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	productField   = "product"
	schemeField    = "scheme"
	windowField    = "window"
	workspaceField = "workspaceId"
	channelsField  = "channels"
	hostsField     = "mediaHosts"
	paceField      = "perSecond"
	accessKey      = "accessKey"
	signingKey     = "signingKey"
	urlSecret      = "urlSecret"
)

// The products.
const (
	productSMS           = "sms"
	productMMS           = "mms"
	productConversations = "conversations"
	productBird          = "bird"
)

// The schemes of authentication.
const (
	schemeJWT    = "jwt"
	schemeLegacy = "legacy"
	schemeBird   = "bird"
	schemeNone   = "none"
)

const (
	// maxWindow is how far a signature's time may be off our clock at most, whatever the account says, and by default.
	maxWindow = 300 * time.Second

	// minURLSecret is 128 bits in Base64.
	minURLSecret = 22

	// defaultPace is how many messages a sender sends in a second. No figure is published for a single sender.
	defaultPace = 10

	maxChannels = 1_000
)

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{
			Name: productField, Label: "Product",
			Help: "What messages are sent by: sms (default), mms (SMS, and MMS where there are files; numbers of the USA and Canada), conversations, or bird for Bird's Channels API.",
		},
		{
			Name: accessKey, Label: "Access key", Secret: true, Required: true,
			Help: "From the developer settings, for the product's API. A key that begins with test_ sends nothing.",
		},
		{
			Name: signingKey, Label: "Signing key", Secret: true,
			Help: "What webhooks are signed with: the signing key of the developer settings, which is not the access key; for Bird that of the webhook subscription. Required unless webhooks are not signed.",
		},
		{
			Name: schemeField, Label: "Signature",
			Help: "How webhooks are signed: jwt (MessageBird-Signature-JWT, default), legacy (signature and timestamp, without JWT), bird (Bird's webhook subscriptions, default for that product) or none (only where a Flow step cannot sign).",
		},
		{
			Name: urlSecret, Label: "Secret in the URL", Secret: true,
			Help: "Only with signature none: webhooks must come to the address with ?key= and this secret, of at least 22 characters.",
		},
		{
			Name: windowField, Label: "Time window in seconds",
			Help: "How far the time of a webhook may be off our clock: 1 to 300 (default).",
		},
		{
			Name: workspaceField, Label: "Workspace id",
			Help: "For Bird: the id of the workspace that has the channels.",
		},
		{
			Name: channelsField, Label: "Channel ids",
			Help: "For conversations and Bird: the carrier's channel of each number, one a line, such as +15005550006=2ceefea7c1b8c79673215c42c1a6b916. A number with several: whatsapp:+15005550006=…",
		},
		{
			Name: hostsField, Label: "Hosts of files",
			Help: "Hosts besides the carrier's own that files may lie on, separated by blanks. They get no key.",
		},
		{
			Name: paceField, Label: "Messages a second",
			Help: "How many messages one sender sends in a second at most; 10 by default. Ask the carrier what yours may.",
		},
	}
}

type config struct {
	product    string
	scheme     string
	window     time.Duration
	workspace  string
	channels   channels
	mediaHosts []string
	perSecond  float64

	accessKeys  []omni.Secret // newest first; the first is used
	signingKeys []omni.Secret // newest first; all of them sign webhooks
	urlSecrets  []omni.Secret
}

// channels are the carrier's channels and the numbers that they have.
type channels []channel

type channel struct {
	family  omni.ChannelType // "" for any
	address string
	id      string
}

// id is the channel of an address of ours; the address itself if it is an id.
func (c channels) id(family omni.ChannelType, address string) (string, bool) {
	found := ""
	for _, ch := range c {
		if ch.address == address && (ch.family == family || ch.family == "" && found == "") {
			found = ch.id
		}
	}
	if found == "" && isChannelID(address) {
		found = address
	}
	return found, found != ""
}

// of finds the address that a channel has; the id itself where none is configured.
func (c channels) of(id string) channel {
	for _, ch := range c {
		if ch.id == id {
			return ch
		}
	}
	return channel{address: id, id: id}
}

// isChannelID reports whether s is an id of a channel: 32 hexadecimal digits, with or without hyphens as in a UUID.
func isChannelID(s string) bool {
	if len(s) == 36 {
		s = strings.ReplaceAll(s, "-", "")
	}
	return len(s) == 32 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

func readConfig(a carriers.Account) (config, error) {
	setting := func(name, fallback string) string {
		if v := strings.TrimSpace(a.Config[name]); v != "" {
			return v
		}
		return fallback
	}
	c := config{
		product: setting(productField, productSMS), workspace: setting(workspaceField, ""),
		window: maxWindow, perSecond: defaultPace,
		accessKeys: a.Secrets(accessKey), signingKeys: a.Secrets(signingKey), urlSecrets: a.Secrets(urlSecret),
		mediaHosts: strings.FieldsFunc(setting(hostsField, ""), separator),
	}
	c.scheme = setting(schemeField, map[bool]string{false: schemeJWT, true: schemeBird}[c.product == productBird])
	bad := map[string]string{}
	if !slices.Contains([]string{productSMS, productMMS, productConversations, productBird}, c.product) {
		bad[productField] = "must be sms, mms, conversations or bird"
	}
	if !slices.Contains([]string{schemeJWT, schemeLegacy, schemeBird, schemeNone}, c.scheme) {
		bad[schemeField] = "must be jwt, legacy, bird or none"
	}
	if len(c.accessKeys) == 0 {
		bad[accessKey] = "is required"
	}
	if len(c.signingKeys) == 0 && c.scheme != schemeNone {
		bad[signingKey] = "is required"
	}
	for _, s := range c.urlSecrets {
		switch {
		case c.scheme != schemeNone:
			bad[urlSecret] = "belongs to signature none"
		case len(s.Reveal()) < minURLSecret:
			bad[urlSecret] = fmt.Sprintf("must be at least %d characters", minURLSecret)
		}
	}
	if n, err := strconv.Atoi(setting(windowField, "300")); err != nil || n < 1 || n > int(maxWindow/time.Second) {
		bad[windowField] = "must be 1 to 300 seconds"
	} else {
		c.window = time.Duration(n) * time.Second
	}
	if n, err := strconv.ParseFloat(setting(paceField, strconv.Itoa(defaultPace)), 64); err != nil || !(n >= 0.01 && n <= 10_000) {
		bad[paceField] = "must be 0.01 to 10000"
	} else {
		c.perSecond = n
	}
	if c.product == productBird && !isChannelID(c.workspace) {
		bad[workspaceField] = "must be the id of a workspace"
	}
	for _, host := range c.mediaHosts {
		if u, err := url.Parse("https://" + host); err != nil || u.Host != host {
			bad[hostsField] = "must be names of hosts"
		}
	}
	var err error
	if c.channels, err = readChannels(a.Config[channelsField]); err != nil {
		bad[channelsField] = err.Error()
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the MessageBird account is not set up right")
		p.Fields = bad
		return config{}, p
	}
	return c, nil
}

func separator(r rune) bool {
	return r == ' ' || r == ',' || r == ';' || r == '\n' || r == '\r' || r == '\t'
}

// readChannels reads pairs of number and channel id.
func readChannels(s string) (channels, error) {
	var all channels
	for _, pair := range strings.FieldsFunc(s, separator) {
		number, id, _ := strings.Cut(pair, "=")
		var family omni.ChannelType
		if before, after, ok := strings.Cut(number, ":"); ok {
			if family, ok = families[strings.ToLower(before)]; !ok {
				return nil, fmt.Errorf("must name sms or whatsapp before a colon")
			}
			number = after
		}
		address, err := address("", number)
		if err != nil || address == "" || !isChannelID(id) {
			return nil, fmt.Errorf("must be numbers and channel ids, such as +15005550006=2ceefea7c1b8c79673215c42c1a6b916")
		}
		if len(all) == maxChannels {
			return nil, fmt.Errorf("must be at most %d", maxChannels)
		}
		all = append(all, channel{family: family.Family(), address: address, id: id})
	}
	return all, nil
}
