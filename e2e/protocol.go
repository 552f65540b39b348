package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"omniservice/omni/wire"
)

// Protocol is the AsyncAPI document of a gateway, as its clients read it. It checks frames against what it says, and more
// strictly than clients do: a field that is not in the document is an error.
type Protocol struct {
	messages map[string]*jsonschema.Schema
}

// protocol reads the document that the gateway serves, once.
func (s *System) protocol(t testing.TB) *Protocol {
	t.Helper()
	s.protocolOnce.Do(func() {
		res, err := s.http.Get(s.URL + "/docs/asyncapi.json") //nolint:noctx // the client has a deadline
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusOK, res.StatusCode)
		p, err := NewProtocol(body)
		require.NoError(t, err)
		s.protocolDoc = p
	})
	require.NotNil(t, s.protocolDoc, "the AsyncAPI document was not read")
	return s.protocolDoc
}

// NewProtocol reads an AsyncAPI document in JSON.
func NewProtocol(document []byte) (*Protocol, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	closed(doc)
	c := jsonschema.NewCompiler()
	const at = "mem:///asyncapi.json"
	if err := c.AddResource(at, doc); err != nil {
		return nil, err
	}
	p := &Protocol{messages: map[string]*jsonschema.Schema{}}
	components, _ := doc.(map[string]any)["components"].(map[string]any)
	messages, _ := components["messages"].(map[string]any)
	for name := range messages {
		if p.messages[name], err = c.Compile(at + "#/components/messages/" + name + "/payload"); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// closed forbids fields that a schema does not name.
func closed(v any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			closed(e)
		}
	case map[string]any:
		for _, e := range v {
			closed(e)
		}
		if _, ok := v["additionalProperties"]; !ok && v["type"] == "object" && v["properties"] != nil {
			v["additionalProperties"] = false
		}
	}
}

// Check says how a frame differs from the message of that name; nil if it does not.
func (p *Protocol) Check(name string, frame []byte) error {
	schema, ok := p.messages[name]
	if !ok {
		return fmt.Errorf("the document has no message %s: %.300s", name, frame)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(frame))
	if err != nil {
		return fmt.Errorf("%w: %.300s", err, frame)
	}
	if err := schema.Validate(v); err != nil {
		return fmt.Errorf("%s: %w: %.300s", name, err, frame)
	}
	return nil
}

// checker checks what one connection sends and gets. The caller locks.
type checker struct {
	protocol *Protocol
	suffix   string // of what a visitor gets
	sent     map[int64][]byte
	wrong    []string
}

// newChecker is for a socket at path.
func newChecker(p *Protocol, path string) *checker {
	k := &checker{protocol: p, sent: map[int64][]byte{}}
	if strings.HasPrefix(path, "/livechat/") {
		k.suffix = ".visitor"
	}
	return k
}

// got checks a frame from the server, and with an answer that is ok the command too: what the server takes has to be what
// the document says. Tests send what it refuses as well.
func (k *checker) got(f Frame, frame []byte) {
	if f.Type == "error" {
		k.check("error", frame)
		return
	}
	if f.ID == 0 {
		k.check("event."+f.Type+k.suffix, frame)
		return
	}
	var c wire.Command
	if sent := k.sent[f.ID]; sent != nil && json.Unmarshal(sent, &c) == nil {
		k.check("command."+c.Type, sent)
		k.check("ok."+c.Type+k.suffix, frame)
		delete(k.sent, f.ID)
	}
}

func (k *checker) check(name string, frame []byte) {
	if err := k.protocol.Check(name, frame); err != nil && len(k.wrong) < 5 {
		k.wrong = append(k.wrong, err.Error())
	}
}
