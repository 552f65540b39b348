package whatsapp

import (
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	wabaID            = "wabaId"
	phoneNumberIDs    = "phoneNumberIds"
	appID             = "appId"
	apiVersion        = "apiVersion"
	messagesPerSecond = "messagesPerSecond"
	appSecretProof    = "appSecretProof"

	appSecret   = "appSecret"
	verifyToken = "verifyToken"
	accessToken = "accessToken"
)

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{
			Name: wabaID, Label: "WhatsApp Business Account ID",
			Help: "Digits, from WhatsApp Manager or API Setup. Templates and checks need it. If set, what belongs to another account is not taken.",
		},
		{
			Name: accessToken, Label: "Access token", Secret: true, Required: true,
			Help: "A system user's permanent token with whatsapp_business_messaging and whatsapp_business_management.",
		},
		{
			Name: appSecret, Label: "App secret", Secret: true, Required: true,
			Help: "From the app's basic settings: Meta signs webhooks with it.",
		},
		{
			Name: verifyToken, Label: "Verify token", Secret: true, Required: true,
			Help: "Any text of your own. Enter the same one at Meta beside the callback URL.",
		},
		{
			Name: phoneNumberIDs, Label: "Phone number IDs",
			Help: "Only where they cannot be asked for: number=id, separated by commas, such as +254700100200=310000000000017.",
		},
		{
			Name: appID, Label: "App ID",
			Help: "Digits. If set, the check of the account also looks at the app's webhook.",
		},
		{
			Name: apiVersion, Label: "API version",
			Help: "Of the Graph API, such as " + defaultVersion + ", which is what an empty field means.",
		},
		{
			Name: messagesPerSecond, Label: "Messages per second",
			Help: "How fast each number may send. Empty means what Meta allows: 80, or 1000 after an upgrade. Numbers shared with the phone app may send 20.",
		},
		{
			Name: appSecretProof, Label: "Send appsecret_proof",
			Help: "Enter yes if the app's advanced settings require it.",
		},
	}
}

type config struct {
	wabaID       string
	appID        string
	version      string
	perSecond    float64 // 0: what Meta allows
	proof        bool
	phones       map[string]string // address with + -> phone number id
	appSecrets   []omni.Secret     // newest first; all of them sign webhooks
	verifyTokens []omni.Secret     // newest first; all of them are taken
	accessToken  omni.Secret
}

func readConfig(a carriers.Account) (config, error) {
	setting := func(name string) string { return strings.TrimSpace(a.Config[name]) }
	c := config{
		wabaID:       setting(wabaID),
		appID:        setting(appID),
		version:      setting(apiVersion),
		appSecrets:   a.Secrets(appSecret),
		verifyTokens: a.Secrets(verifyToken),
		accessToken:  a.Credential(accessToken),
	}
	bad := map[string]string{}
	require := func(ok bool, name, problem string) {
		if !ok {
			bad[name] = problem
		}
	}
	require(c.wabaID == "" || isDigits(c.wabaID), wabaID, "must be digits")
	require(c.appID == "" || isDigits(c.appID), appID, "must be digits")
	if c.version == "" {
		c.version = defaultVersion
	}
	require(isVersion(c.version), apiVersion, "must be like "+defaultVersion)
	if s := setting(messagesPerSecond); s != "" {
		n, err := strconv.Atoi(s)
		require(err == nil && n >= 1 && n <= 1000, messagesPerSecond, "must be a number between 1 and 1000")
		c.perSecond = float64(n)
	}
	switch strings.ToLower(setting(appSecretProof)) {
	case "", "no", "false":
	case "yes", "true":
		c.proof = true
	default:
		bad[appSecretProof] = "must be yes or no"
	}
	var ok bool
	c.phones, ok = readPhones(setting(phoneNumberIDs))
	require(ok, phoneNumberIDs, "must be number=id, separated by commas, such as +254700100200=310000000000017")
	require(len(c.appSecrets) > 0, appSecret, "is required")
	require(len(c.verifyTokens) > 0, verifyToken, "is required")
	require(!c.accessToken.IsZero(), accessToken, "is required")
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the WhatsApp account is not set up right")
		p.Fields = bad
		return config{}, p
	}
	return c, nil
}

// readPhones reads a list of number=id.
func readPhones(list string) (map[string]string, bool) {
	phones := map[string]string{}
	for pair := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		number, id, _ := strings.Cut(pair, "=")
		number, id = address(number), strings.TrimSpace(id)
		if !strings.HasPrefix(number, "+") || !isDigits(id) {
			return nil, false
		}
		phones[number] = id
	}
	return phones, true
}

// isDigits reports whether s is one of Meta's ids of accounts, apps, numbers and files. They stand in paths.
func isDigits(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "0123456789") == ""
}

// isVersion reports whether s is a version of the Graph API: v26.0
func isVersion(s string) bool {
	major, minor, ok := strings.Cut(strings.TrimPrefix(s, "v"), ".")
	return ok && s[0] == 'v' && len(s) <= 8 && isDigits(major) && isDigits(minor)
}
