package bandwidth

import (
	"strconv"
	"strings"

	"omniservice/carriers"
	"omniservice/omni"
)

// Names of the settings and credentials of an account.
const (
	accountID         = "accountId"
	applicationID     = "applicationId"
	scheme            = "scheme"
	username          = "username"
	password          = "password"
	statusUsername    = "statusUsername"
	statusPassword    = "statusPassword"
	clientID          = "clientId"
	clientSecret      = "clientSecret"
	apiUser           = "apiUser"
	apiPassword       = "apiPassword"
	priority          = "priority"
	messagesPerSecond = "messagesPerSecond"
)

// Schemes by which a webhook shows that Bandwidth sent it.
const (
	schemeBasic = "basic" // user name and password of the messaging application
	schemePath  = "path"  // the address alone, which nobody can guess
)

// minPath is the shortest public id that is as good as a secret, in characters: 128 bits in base 64.
const minPath = 22

// Fields implements carriers.Provider.
func (*Provider) Fields() []carriers.Field {
	return []carriers.Field{
		{Name: accountID, Label: "Account ID", Required: true, Help: "The number of the Bandwidth account, at the top right of the Bandwidth App."},
		{
			Name: applicationID, Label: "Application ID", Required: true,
			Help: "Of the messaging application that the numbers belong to. Looks like 93de2206-9669-4e07-948d-329f4b722ee2.",
		},
		{
			Name: clientID, Label: "Client ID",
			Help: "Of an API credential with the role Messaging (Account > API Credentials). Used to send and to fetch files.",
		},
		{Name: clientSecret, Label: "Client secret", Secret: true, Help: "The secret of that API credential."},
		{
			Name: apiUser, Label: "API user name",
			Help: "Only if there is no client ID. Bandwidth has announced that API users stop working on 2 December 2026.",
		},
		{Name: apiPassword, Label: "API user password", Secret: true, Help: "The password of that API user."},
		{
			Name: username, Label: "Webhook user name",
			Help: "The user name that the application's inbound callbacks bring: make one up, and set it there too.",
		},
		{Name: password, Label: "Webhook password", Secret: true, Help: "The password that goes with it."},
		{
			Name: statusUsername, Label: "Status webhook user name",
			Help: "Only if the application's outbound (status) callbacks bring another user name than the inbound ones.",
		},
		{Name: statusPassword, Label: "Status webhook password", Secret: true, Help: "The password that goes with it."},
		{
			Name: scheme, Label: "Webhook authentication",
			Help: "basic (if empty) or path. With path no user name and password are asked for: whoever knows the webhook's address can post to it.",
		},
		{Name: priority, Label: "Priority", Help: "high puts this account's messages before others in Bandwidth's queue; default or empty does not."},
		{
			Name: messagesPerSecond, Label: "Messages a second",
			Help: "How many messages one number may send a second, such as 1 or 0.5, where its campaign sets a limit. Empty: no limit here.",
		},
	}
}

// Config is what an account has configured. (Seed: BandwidthConfig.)
type Config struct {
	AccountID     string // digits
	ApplicationID string // UUID
	Scheme        string // basic or path

	Username        string        // of webhooks
	Passwords       []omni.Secret // newest first; all of them are valid
	StatusUsername  string        // of status webhooks, where it is another
	StatusPasswords []omni.Secret // newest first

	ClientID     string // OAuth 2.0; empty: the API user is used
	ClientSecret omni.Secret
	APIUser      string
	APIPassword  omni.Secret

	Priority          string  // default, high or empty
	MessagesPerSecond float64 // of one number; 0: no limit
}

// readConfig reads an account's configuration and reports all that is wrong with it.
func readConfig(a carriers.Account) (Config, error) {
	get := func(name string) string { return strings.TrimSpace(a.Config[name]) }
	c := Config{
		AccountID: get(accountID), ApplicationID: get(applicationID), Scheme: get(scheme),
		Username: a.Config[username], Passwords: a.Secrets(password),
		StatusUsername: a.Config[statusUsername], StatusPasswords: a.Secrets(statusPassword),
		ClientID: get(clientID), ClientSecret: a.Credential(clientSecret),
		APIUser: get(apiUser), APIPassword: a.Credential(apiPassword),
		Priority: get(priority),
	}
	if c.Scheme == "" {
		c.Scheme = schemeBasic
	}
	bad := map[string]string{}
	if c.AccountID == "" || len(c.AccountID) > 20 || strings.Trim(c.AccountID, "0123456789") != "" {
		bad[accountID] = "must be the number of the account"
	}
	if !isUUID(c.ApplicationID) {
		bad[applicationID] = "must be like 93de2206-9669-4e07-948d-329f4b722ee2"
	}
	c.checkWebhooks(a, bad)
	c.checkLogin(bad)
	if c.Priority != "" && c.Priority != "default" && c.Priority != "high" {
		bad[priority] = "must be default or high"
	}
	if s := get(messagesPerSecond); s != "" {
		n, err := strconv.ParseFloat(s, 64)
		if err != nil || !(n >= 0.001 && n <= 10_000) {
			bad[messagesPerSecond] = "must be a number between 0.001 and 10000"
		}
		c.MessagesPerSecond = n
	}
	if len(bad) > 0 {
		p := omni.Problemf(omni.ErrInvalid, "the Bandwidth account is not set up right")
		p.Fields = bad
		return Config{}, p
	}
	return c, nil
}

// checkWebhooks looks at what webhooks bring.
func (c Config) checkWebhooks(a carriers.Account, bad map[string]string) {
	const words = "is required, unless webhooks are told by their path alone"
	switch c.Scheme {
	case schemeBasic:
		if c.Username == "" {
			bad[username] = words
		}
		if len(c.Passwords) == 0 {
			bad[password] = words
		}
	case schemePath:
		if len(a.PublicID) < minPath {
			bad[scheme] = "cannot be path: the address of the webhook is too short to be a secret"
		}
	default:
		bad[scheme] = "must be basic or path"
	}
	for name, user := range map[string]string{username: c.Username, statusUsername: c.StatusUsername} {
		if strings.Contains(user, ":") {
			bad[name] = "must not contain a colon"
		}
	}
	if c.StatusUsername != "" && len(c.StatusPasswords) == 0 {
		bad[statusPassword] = "is required with its user name"
	}
	if c.StatusUsername == "" && len(c.StatusPasswords) > 0 {
		bad[statusUsername] = "is required with its password"
	}
}

// checkLogin looks at what the API is called with.
func (c Config) checkLogin(bad map[string]string) {
	switch {
	case c.ClientID == "" && c.APIUser == "":
		bad[clientID] = "is required, unless an API user is set"
	case c.ClientID != "" && c.ClientSecret.IsZero():
		bad[clientSecret] = "is required with a client ID"
	case c.ClientID == "" && c.APIPassword.IsZero():
		bad[apiPassword] = "is required with an API user"
	case strings.Contains(c.APIUser, ":"):
		bad[apiUser] = "must not contain a colon"
	}
}

func isUUID(s string) bool {
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !strings.ContainsRune("0123456789abcdefABCDEF", c) {
				return false
			}
		}
	}
	return len(s) == 36
}
