package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// TestAsyncAPI: the document is there in both forms, and each of its references leads somewhere. What is in it is compared
// with real frames by the end-to-end tests.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.call(http.MethodGet, "/docs/asyncapi.yaml", "", nil)
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, r.body, "asyncapi: 3.0.0")
	require.Contains(t, s.call(http.MethodGet, "/docs", "", nil).body, "/docs/asyncapi.yaml")
	r = s.call(http.MethodGet, "/docs/asyncapi.json", "", nil)
	require.Equal(t, http.StatusOK, r.StatusCode)
	var doc map[string]any
	r.into(t, &doc)

	refs := 0
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				follow(e)
			}
		case map[string]any:
			if to, ok := v["$ref"].(string); ok {
				refs++
				var at any = doc
				for part := range strings.SplitSeq(strings.TrimPrefix(to, "#/"), "/") {
					m, ok := at.(map[string]any)
					require.True(t, ok, to)
					at = m[part]
					require.NotNil(t, at, to)
				}
			}
			for _, e := range v {
				follow(e)
			}
		}
	}
	follow(doc)
	require.Greater(t, refs, 100)
	messages, err := json.Marshal(doc["channels"])
	require.NoError(t, err)
	for name := range doc["components"].(map[string]any)["messages"].(map[string]any) {
		require.Contains(t, string(messages), `"#/components/messages/`+name+`"`, "%s is in no channel", name)
	}
}

// TestCommandsAreThoseOfTheRoles: what the document says of who may do what is what the server lets them do.
func TestCommandsAreThoseOfTheRoles(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, c := range wire.Commands {
		if c.Type == wire.CmdConnect {
			continue // comes before there is a role
		}
		known["ws:"+c.Type] = true
		roles := auth.Roles["ws:"+c.Type]
		require.Equal(t, slices.Contains(roles, omni.RoleVisitor), c.Visitors != nil, c.Type)
		require.Equal(t, slices.Contains(roles, omni.RoleAgent), !c.NoAgents, c.Type)
	}
	for id := range auth.Roles {
		if strings.HasPrefix(id, "ws:") {
			require.True(t, known[id], "%s is not in wire.Commands", id)
		}
	}
}
