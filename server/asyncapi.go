package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/yaml"

	"omniservice/hub"
	"omniservice/omni/wire"
)

// object is a JSON object of the document.
type object = map[string]any

func ref(kind, name string) object { return object{"$ref": "#/components/" + kind + "/" + name} }

// socketDoc makes the AsyncAPI document out of the tables in package wire.
type socketDoc struct {
	schemas  huma.Registry
	messages object
	channels map[string]object // channel: its messages by name
	ops      object
}

// The two sockets, as channels of the document.
const (
	agentsChannel   = "agents"
	visitorsChannel = "visitors"
)

// asyncAPI describes the sockets of a gateway: an AsyncAPI 3 document, in JSON. It is from the gateway's side, as AsyncAPI
// has it: what it receives are commands.
func (s *Server) asyncAPI() ([]byte, error) {
	d := &socketDoc{
		schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer), messages: object{},
		channels: map[string]object{agentsChannel: {}, visitorsChannel: {}}, ops: object{},
	}
	d.messages["error"] = object{
		"title": "error", "summary": "Answers a command that failed",
		"payload": d.envelope("error", object{"id": answerID, "error": d.schema(wire.Error{})}, "id", "error"),
	}
	for name := range d.channels {
		d.channels[name]["error"] = ref("messages", "error")
	}
	for _, c := range wire.Commands {
		d.command(c)
	}
	for _, e := range wire.Events {
		d.event(e)
	}
	for _, schema := range d.schemas.Map() {
		schema.AdditionalProperties = nil // both sides ignore what they do not know
	}
	u, err := url.Parse(s.o.PublicURL)
	if err != nil {
		return nil, err
	}
	protocol := "wss"
	if u.Scheme == "http" {
		protocol = "ws"
	}
	channel := func(address, summary string, messages object) object {
		return object{"address": address, "summary": summary, "messages": messages, "bindings": object{"ws": object{"method": "GET"}}}
	}
	return json.Marshal(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title": "omniservice sockets", "version": cmp.Or(s.o.Version, "dev"),
			"description": "WebSocket subprotocol " + wire.Subprotocol + ". Frames are text; one holds one or more JSON objects with a newline between. " +
				"The first command is connect. Every command has an id and is answered by ok or error with the same id. " +
				"Durable events have an offset that grows by one in their topic. Times are milliseconds since 1970. " +
				"Fields that one does not know are ignored. Close codes: " + closeCodes(),
		},
		"defaultContentType": "application/json",
		"servers":            object{"gateway": object{"host": u.Host, "protocol": protocol, "description": "Subprotocol " + wire.Subprotocol}},
		"channels": object{
			agentsChannel:   channel("/ws", "Agents and programs", d.channels[agentsChannel]),
			visitorsChannel: channel("/livechat/ws", "Visitors of websites", d.channels[visitorsChannel]),
		},
		"operations": d.ops,
		"components": object{"messages": d.messages, "schemas": d.schemas.Map()},
	})
}

// asyncAPIYAML is asyncAPI as YAML.
func (s *Server) asyncAPIYAML() ([]byte, error) {
	doc, err := s.asyncAPI()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = yaml.Convert(&out, bytes.NewReader(doc))
	return out.Bytes(), err
}

func closeCodes() string {
	var text strings.Builder
	for _, c := range []int{
		hub.CloseGoingAway, hub.CloseProtocol, hub.CloseUTF8, hub.ClosePolicy, hub.CloseTooBig, hub.CloseRestart, hub.CloseResync,
		hub.CloseUnavailable, hub.CloseSilent, hub.CloseSlow, hub.CloseSession, hub.CloseRemoved,
	} {
		what := "stop"
		if hub.Reconnect(c) {
			what = "come back"
		}
		fmt.Fprintf(&text, "%d %s; ", c, what)
	}
	text.WriteString("4500-4999 stop; all others come back.")
	return text.String()
}

// Ids of commands and of what answers them: 0 answers what could not be read.
var (
	commandID = object{"type": "integer", "format": "int64", "minimum": 1}
	answerID  = object{"type": "integer", "format": "int64", "minimum": 0}
)

func (d *socketDoc) schema(zero any) *huma.Schema {
	return d.schemas.Schema(reflect.TypeOf(zero), true, "")
}

// requires reports whether data of a type have to be there.
func (d *socketDoc) requires(zero any) bool {
	s := d.schema(zero)
	if s.Ref != "" {
		s = d.schemas.SchemaFromRef(s.Ref)
	}
	return len(s.Required) > 0
}

func (*socketDoc) envelope(typ string, properties object, required ...string) object {
	properties["type"] = object{"const": typ}
	return object{"type": "object", "required": append([]string{"type"}, required...), "properties": properties}
}

func (d *socketDoc) command(c wire.CommandSpec) {
	name := "command." + c.Type
	required := []string{"id"}
	if d.requires(c.Data) {
		required = append(required, "data")
	}
	d.messages[name] = object{
		"title": c.Type, "summary": c.About,
		"payload": d.envelope(c.Type, object{"id": commandID, "data": d.schema(c.Data)}, required...),
	}
	answer := func(channel, suffix string, data any) {
		ok := "ok." + c.Type + suffix
		d.messages[ok] = object{
			"title": "ok", "summary": "Answers " + c.Type,
			"payload": d.envelope("ok", object{"id": answerID, "data": d.schema(data)}, "id", "data"),
		}
		for _, m := range []string{name, ok} {
			d.channels[channel][m] = ref("messages", m)
		}
		at := func(m string) object { return object{"$ref": "#/channels/" + channel + "/messages/" + m} }
		d.ops[channel+"."+c.Type] = object{
			"action": "receive", "summary": c.About, "channel": object{"$ref": "#/channels/" + channel}, "messages": []object{at(name)},
			"reply": object{"channel": object{"$ref": "#/channels/" + channel}, "messages": []object{at(ok), at("error")}},
		}
	}
	if !c.NoAgents {
		answer(agentsChannel, "", c.Answer)
	}
	if c.Visitors != nil {
		answer(visitorsChannel, visitorSuffix, c.Visitors)
	}
}

// visitorSuffix ends the names of messages to visitors.
const visitorSuffix = ".visitor"

func (d *socketDoc) event(e wire.EventSpec) {
	tell := func(channel, suffix string, data any) {
		name := "event." + e.Type + suffix
		properties := object{"at": object{"type": "integer", "format": "int64"}, "topic": object{"type": "string"}, "data": d.schema(data)}
		required := []string{"at", "data"}
		if e.Type != wire.Heartbeat && e.Type != wire.AvailabilityEvent { // these are about the connection
			required = append(required, "topic")
		}
		if !e.Passing {
			properties["offset"] = object{"type": "integer", "format": "int64", "minimum": 1}
			required = append(required, "offset")
		}
		d.messages[name] = object{"title": e.Type, "summary": e.About, "payload": d.envelope(e.Type, properties, required...)}
		d.channels[channel][name] = ref("messages", name)
		d.ops[channel+".event."+e.Type] = object{
			"action": "send", "summary": e.About, "channel": object{"$ref": "#/channels/" + channel},
			"messages": []object{{"$ref": "#/channels/" + channel + "/messages/" + name}},
		}
	}
	if !e.NoAgents {
		tell(agentsChannel, "", e.Data)
	}
	if e.Visitors != nil {
		tell(visitorsChannel, visitorSuffix, e.Visitors)
	}
}
