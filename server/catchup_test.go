package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCatchUpIsForAdminsAndForCarriersThatCanTell(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := s.twilio(s.a)
	path := "/api/v1/carrier-accounts/" + a.ID + "/catch-up"
	r := s.call(http.MethodPost, path, s.a.adminToken, nil)
	require.Equal(t, http.StatusUnprocessableEntity, r.StatusCode, r.body)
	require.Contains(t, r.body, "Twilio does not keep messages")
	require.Equal(t, http.StatusForbidden, s.call(http.MethodPost, path, s.a.agentToken, nil).StatusCode)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, path, s.b.adminToken, nil).StatusCode)

	r = s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken, `{"disabled":true}`, "If-Match", `"1"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.Equal(t, http.StatusNotFound, s.call(http.MethodPost, path, s.a.adminToken, nil).StatusCode, "nothing may be asked for it")
	r = s.call(http.MethodPatch, "/api/v1/carrier-accounts/"+a.ID, s.a.adminToken, `{"disabled":false}`, "If-Match", `"2"`)
	require.Equal(t, http.StatusOK, r.StatusCode, r.body)
	require.NotContains(t, strings.ToLower(s.logs.String()), `"msg":"catch up"`, "that Twilio cannot tell is no trouble")
}
