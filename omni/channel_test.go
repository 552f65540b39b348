package omni_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
)

func TestValidOrigin(t *testing.T) {
	t.Parallel()
	good := []string{
		"https://www.example.com", "http://example.com", "https://example.com:8443", "http://localhost:3000",
		"http://127.0.0.1:8080", "http://[::1]:8080", "https://[2001:db8::1]", "https://xn--bcher-kva.example",
		"https://a_b.example-site.co.uk", "http://example.com:443", "https://example.com:80", "https://example.com:65535",
	}
	for _, s := range good {
		require.True(t, omni.ValidOrigin(s), s)
	}
	bad := map[string]string{
		"empty":             "",
		"null":              "null",
		"any":               "*",
		"any sub-domain":    "https://*.example.com",
		"no scheme":         "www.example.com",
		"no scheme, port":   "example.com:443",
		"another scheme":    "ftp://example.com",
		"extension":         "chrome-extension://abcdef",
		"script":            "javascript://example.com",
		"slash":             "https://example.com/",
		"path":              "https://example.com/shop",
		"query":             "https://example.com?x=1",
		"empty query":       "https://example.com?",
		"fragment":          "https://example.com#x",
		"user":              "https://user@example.com",
		"user and password": "https://a:b@example.com",
		"no host":           "https://",
		"port alone":        "https://:8443",
		"upper case host":   "https://Example.com",
		"upper case scheme": "HTTPS://example.com",
		"default port":      "https://example.com:443",
		"default port http": "http://example.com:80",
		"colon, no port":    "https://example.com:",
		"port 0":            "https://example.com:0",
		"port with zeros":   "https://example.com:0443",
		"port too large":    "https://example.com:65536",
		"port word":         "https://example.com:http",
		"space":             " https://example.com",
		"space inside":      "https://exa mple.com",
		"line break":        "https://example.com\n",
		"not ASCII":         "https://bücher.example",
		"look-alike":        "https://exаmple.com",
		"markup":            "https://<b>.example.com",
		"quote":             `https://a".example.com`,
		"semicolon":         "https://example.com;script-src",
		"escaped":           "https://example%2ecom",
		"two":               "https://a.example,https://b.example",
		"long IPv6":         "https://[2001:db8:0:0:0:0:0:1]",
		"IPv6 with zone":    "http://[fe80::1%25eth0]:8080",
		"IPv6 unclosed":     "http://[::1",
	}
	for name, s := range bad {
		require.False(t, omni.ValidOrigin(s), name)
	}
}

func FuzzValidOrigin(f *testing.F) {
	for _, s := range []string{"https://www.example.com", "http://[::1]:8080", "https://a:b@c", "https://*.x", "null"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !omni.ValidOrigin(s) {
			return
		}
		require.Regexp(t, `^https?://([a-z0-9._-]+|\[[0-9a-f.:]+\])(:[1-9][0-9]{0,4})?$`, s)
	})
}

func TestGroupSees(t *testing.T) {
	t.Parallel()
	shared := omni.DigitalChannelGroup{ID: idA, Type: omni.GroupShared, MemberIDs: []string{"ana", "ben"}}
	private := omni.DigitalChannelGroup{ID: idA, Type: omni.GroupPrivate, UserID: "ana", MemberIDs: []string{"ben"}}
	tests := []struct {
		name  string
		group omni.DigitalChannelGroup
		user  string
		role  omni.Role
		want  bool
	}{
		{"member", shared, "ana", omni.RoleAgent, true},
		{"another member", shared, "ben", omni.RoleAgent, true},
		{"agent who is no member", shared, "eva", omni.RoleAgent, false},
		{"agent without an id", shared, "", omni.RoleAgent, false},
		{"supervisor", shared, "eva", omni.RoleSupervisor, true},
		{"admin", shared, "eva", omni.RoleAdmin, true},
		{"program", shared, "", omni.RoleService, true},
		{"visitor", shared, "ana", omni.RoleVisitor, false},
		{"no role", shared, "ana", "", false},
		{"unknown role", shared, "ana", "root", false},
		{"private: its user", private, "ana", omni.RoleAgent, true},
		{"private: its user as admin", private, "ana", omni.RoleAdmin, true},
		{"private: an admin", private, "eva", omni.RoleAdmin, false},
		{"private: a supervisor", private, "eva", omni.RoleSupervisor, false},
		{"private: a program", private, "", omni.RoleService, false},
		{"private: listed as member", private, "ben", omni.RoleAgent, false},
		{"private without user: nobody", omni.DigitalChannelGroup{Type: omni.GroupPrivate}, "", omni.RoleAgent, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.group.Sees(tt.user, tt.role))
		})
	}
}

func TestTopics(t *testing.T) {
	t.Parallel()
	require.Equal(t, "group/g1", omni.DigitalChannelGroup{ID: "g1", Type: omni.GroupShared, UserID: "u1"}.HomeTopic())
	require.Equal(t, "user/u1", omni.DigitalChannelGroup{ID: "g1", Type: omni.GroupPrivate, UserID: "u1"}.HomeTopic())
	require.Equal(t, "user/1", omni.UserTopic("1"))
	require.Equal(t, "group/1", omni.GroupTopic("1"))
	require.Equal(t, "org/1", omni.OrgTopic("1"))
	require.Equal(t, "interaction/1", omni.InteractionTopic("1"))
	require.Equal(t, "visitor/1", omni.VisitorTopic("1"))
}

func TestWindowOpen(t *testing.T) {
	t.Parallel()
	day := omni.Capabilities{WindowHours: 24}
	now := omni.MillisOf(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC))
	require.True(t, omni.Capabilities{}.WindowOpen(0, now), "no window: always")
	require.False(t, day.WindowOpen(0, now), "the contact never wrote")
	require.True(t, day.WindowOpen(now, now))
	require.True(t, day.WindowOpen(now.Add(-24*time.Hour+time.Millisecond), now))
	require.False(t, day.WindowOpen(now.Add(-24*time.Hour), now))
	require.True(t, day.WindowOpen(now.Add(time.Minute), now), "our clock is behind")
}
