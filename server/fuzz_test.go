package server

import (
	"encoding/json"
	"errors"
	"testing"

	"omniservice/omni"
	"omniservice/omni/wire"
)

// FuzzCommand reads any bytes as the data of each kind of command: they are taken, or omni.ErrInvalid.
func FuzzCommand(f *testing.F) {
	for _, r := range Commands() {
		f.Add(r.Sample)
	}
	for _, s := range []string{``, `null`, `[]`, `{"seq":1e400}`, `{"payload":{"text":{"$ne":null}}}`, `{} {}`, "{\"clientId\":\"\xff\"}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		cmd := wire.Command{Type: "x", Data: json.RawMessage(data)}
		for _, err := range []error{
			decode[wire.SendMessage](cmd), decode[wire.ReadMessage](cmd), decode[wire.TypingCommand](cmd), decode[wire.InteractionRef](cmd),
			decode[wire.InteractionAction](cmd), decode[wire.AssignInteraction](cmd), decode[wire.AuthRefresh](cmd), decode[wire.ViewingCommand](cmd), decode[wire.SetPresence](cmd),
		} {
			if err != nil && !errors.Is(err, omni.ErrInvalid) {
				t.Fatalf("%q: %v", data, err)
			}
		}
	})
}

func decode[T any](cmd wire.Command) error {
	_, err := command(cmd, func(T) (any, error) { return struct{}{}, nil })
	return err
}
