package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"omniservice/omni/wire"
)

// Reread is what a console knows after it has read everything again.
type Reread struct {
	Texts  map[string]int // text of a message -> how often it is there
	Topics []wire.TopicPosition
}

// Refetch reads again as a console does after a reset: open conversations, and all their messages.
func Refetch(t testing.TB, a *Agent) Reread {
	t.Helper()
	r := Reread{Texts: map[string]int{}}
	call := func(t testing.TB, method, path string, body any, headers ...string) Answer {
		t.Helper()
		return a.Call(t, method, path, body, headers...)
	}
	first := call(t, http.MethodGet, "/api/v1/interactions?view=all", nil)
	require.Equal(t, http.StatusOK, first.Status, "%s", first.Body)
	var p page[wire.Interaction]
	first.JSON(t, &p)
	r.Topics = p.Topics
	for _, it := range list[wire.Interaction](t, call, "/api/v1/interactions?view=all") {
		for before := it.LastSeq + 1; before > 1; {
			a := call(t, http.MethodGet, fmt.Sprintf("/api/v1/interactions/%s/messages?limit=200&before=%d", it.ID, before), nil)
			require.Equal(t, http.StatusOK, a.Status, "%s", a.Body)
			var ms page[wire.Message]
			a.JSON(t, &ms)
			require.NotEmpty(t, ms.Items)
			for _, m := range ms.Items {
				r.Texts[m.Payload.Text]++
			}
			before = ms.Items[0].Seq
		}
	}
	return r
}
