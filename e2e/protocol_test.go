package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFramesThatAreNotAsDocumented: the check that all other tests run finds what is wrong.
func TestFramesThatAreNotAsDocumented(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{}).protocol(t)
	tests := map[string]struct {
		visitor bool
		sent    string
		frame   string
		want    string // in what is found; "" if nothing is wrong
	}{
		"an event":                         {frame: `{"type":"interaction.resolved","topic":"group/1","offset":1,"at":7,"data":{"interactionId":"i","version":2}}`},
		"an unknown event":                 {frame: `{"type":"interaction.vanished","topic":"group/1","offset":1,"at":7,"data":{}}`, want: "no message event.interaction.vanished"},
		"a field too many":                 {frame: `{"type":"interaction.resolved","topic":"group/1","offset":1,"at":7,"data":{"interactionId":"i","secret":2}}`, want: "secret"},
		"a field of another type":          {frame: `{"type":"interaction.resolved","topic":"group/1","offset":1,"at":7,"data":{"interactionId":7}}`, want: "interactionId"},
		"a field too few":                  {frame: `{"type":"interaction.resolved","topic":"group/1","offset":1,"at":7,"data":{}}`, want: "interactionId"},
		"no offset":                        {frame: `{"type":"interaction.resolved","topic":"group/1","at":7,"data":{"interactionId":"i"}}`, want: "offset"},
		"what visitors never get":          {visitor: true, frame: `{"type":"settings.changed","topic":"org/1","offset":1,"at":7,"data":{"kind":"user","id":"1"}}`, want: "no message event.settings.changed.visitor"},
		"an agent's view for a visitor":    {visitor: true, frame: `{"type":"message.created","topic":"visitor/1","offset":1,"at":7,"data":{"id":"1","interactionId":"i","seq":1,"direction":"INBOUND","channelType":"LiveChat","payload":{"type":"text"},"at":7}}`, want: "interactionId"},
		"an answer":                        {sent: `{"id":3,"type":"interaction.close_view","data":{"interactionId":"i"}}`, frame: `{"id":3,"type":"ok","data":{}}`},
		"a wrong answer":                   {sent: `{"id":3,"type":"interaction.open","data":{"interactionId":"i"}}`, frame: `{"id":3,"type":"ok","data":{}}`, want: "topic"},
		"a wrong command that was taken":   {sent: `{"id":3,"type":"interaction.close_view","data":{"interaction":"i"}}`, frame: `{"id":3,"type":"ok","data":{}}`, want: "interaction"},
		"a wrong command that was refused": {sent: `{"id":3,"type":"interaction.open","data":{"interaction":"i"}}`, frame: `{"id":3,"type":"error","error":{"code":"invalid","message":"no"}}`},
		"an error without words":           {frame: `{"id":3,"type":"error","error":{"code":"invalid"}}`, want: "message"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "/ws"
			if tt.visitor {
				path = "/livechat/ws"
			}
			k := newChecker(p, path)
			if tt.sent != "" {
				k.sent[3] = []byte(tt.sent)
			}
			var f Frame
			require.NoError(t, json.Unmarshal([]byte(tt.frame), &f))
			k.got(f, []byte(tt.frame))
			if tt.want == "" {
				require.Empty(t, k.wrong)
				return
			}
			require.NotEmpty(t, k.wrong)
			require.Contains(t, k.wrong[0], tt.want)
		})
	}
}
