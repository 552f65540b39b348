package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

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

// FuzzCarrierLink reads any bytes as the token of a link for carriers: without the key nobody makes one.
func FuzzCarrierLink(f *testing.F) {
	s := &Server{o: Options{PublicURL: "https://chat.example.com", MediaKeys: [][]byte{bytes.Repeat([]byte("m"), 32), bytes.Repeat([]byte("n"), 32)}}, now: time.Now}
	s.d.Media = noMedia{}
	m, file := omni.ServiceMessage{ID: omni.NewID(), Tenant: omni.Org(omni.NewID())}, omni.MediaReference{ID: omni.NewID(), ContentType: "image/png"}
	good := path.Base(s.FileLink(m, file))
	if _, _, got, ok := s.carrierLink(good); !ok || got != file.ID {
		f.Fatalf("%s is not read back", good)
	}
	for _, token := range []string{"", ".png", "AAAA", strings.Repeat("A", 139), strings.Repeat("_", 139) + ".jpg", "%2e%2e", "a=b", good[1:], good[:60]} {
		f.Add(token)
	}
	good, _, _ = strings.Cut(good, ".")
	f.Fuzz(func(t *testing.T, token string) {
		if _, _, _, ok := s.carrierLink(token); ok && !strings.HasPrefix(token, good) {
			t.Fatalf("%q is taken", token)
		}
	})
}

type noMedia struct{}

func (noMedia) Open(context.Context, string, string) (io.ReadSeekCloser, error) {
	return nil, fs.ErrNotExist
}
