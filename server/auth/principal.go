package auth

import (
	"omniservice/omni"
)

// Principal is who a request or a socket acts for.
type Principal struct {
	Tenant    omni.Tenant // UserID: the user, or the API key's id
	Role      omni.Role
	Name      string
	SessionID string        // users
	KeyID     string        // programs
	Visitor   *omni.Visitor // website visitors
	ExpiresAt omni.Millis   // end of what they showed; 0: none

	keyHash string // programs: of their key, to look again
}

// key names what CheckEvery is counted for: a login, an API key or a visitor.
func (p Principal) key() string {
	switch {
	case p.SessionID != "":
		return "s/" + p.SessionID
	case p.KeyID != "":
		return "k/" + p.KeyID
	case p.Visitor != nil:
		return "v/" + p.Visitor.DigitalChannelID
	default:
		return ""
	}
}

// ticket is a principal as a ticket carries it.
type ticket struct {
	Tenant    omni.Tenant   `json:"tenant"`
	SessionID string        `json:"sessionId,omitempty"`
	KeyID     string        `json:"keyId,omitempty"`
	KeyHash   string        `json:"keyHash,omitempty"`
	Visitor   *omni.Visitor `json:"visitor,omitempty"`
	ExpiresAt omni.Millis   `json:"expiresAt,omitempty"`
}
