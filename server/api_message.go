package server

import (
	"context"
	"net/http"

	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/server/auth"
)

// StatusBody is one step of a message's delivery.
type StatusBody struct {
	Status    omni.Status `json:"status"`
	At        omni.Millis `json:"at"`
	ErrorCode string      `json:"errorCode,omitempty"`
	Reason    omni.Reason `json:"reason,omitempty"`
}

// WorkflowStepBody is one thing that was done with a message.
type WorkflowStepBody struct {
	Name   string              `json:"name"`
	Result omni.WorkflowResult `json:"result"`
	Detail string              `json:"detail,omitempty"`
	At     omni.Millis         `json:"at"`
	Micros int64               `json:"micros" doc:"How long it took, in microseconds"`
}

// MessageBody is a message and how it fared.
type MessageBody struct {
	Message       wire.Message       `json:"message"`
	StatusHistory []StatusBody       `json:"statusHistory" nullable:"false" doc:"Oldest first"`
	WorkflowSteps []WorkflowStepBody `json:"workflowSteps" nullable:"false" doc:"In order"`
}

type payloadInput struct {
	Text  string   `json:"text,omitempty" maxLength:"65536" doc:"May be left out where there are files"`
	Files []string `json:"files,omitempty" maxItems:"30" nullable:"false" doc:"Ids of files that the caller uploaded, in order"`
}

type replyInput struct {
	RecordInput
	KeyInput

	Body struct {
		ClientID   string       `json:"clientId" maxLength:"36" doc:"UUIDv7: the same again answers the same message"`
		Payload    payloadInput `json:"payload"`
		ReplyTo    string       `json:"replyTo,omitempty" maxLength:"36"`
		SeenOffset int64        `json:"seenOffset,omitempty" minimum:"0" doc:"seq of the newest message that the sender has seen. If somebody else wrote after it the answer is a conflict, once: the same clientId again goes through"`
	}
}

type firstMessageInput struct {
	KeyInput

	Body struct {
		ChannelID string       `json:"channelId" maxLength:"36"`
		To        string       `json:"to" maxLength:"255"`
		ClientID  string       `json:"clientId" maxLength:"36" doc:"UUIDv7: the same again answers the same message"`
		Payload   payloadInput `json:"payload"`
	}
}

// sentOutput is a message that was taken: 201 the first time, 200 if it was there.
type sentOutput struct {
	Status int
	Body   wire.Message
}

func (s *Server) apiMessages() {
	const client = `"clientId":"01990000-0000-7000-8000-000000000001","payload":{"text":"hello","files":["{file}"]}`
	register(s, endpoint{
		id: "interaction-send", method: http.MethodPost, path: "/api/v1/interactions/{id}/messages", tag: "messages",
		status: http.StatusCreated, summary: "Answer in an interaction", scope: map[string]string{"id": "interaction", "payload.files": "file"}, sample: `{` + client + `}`,
	}, func(ctx context.Context, p auth.Principal, in *replyInput) (*sentOutput, error) {
		return s.send(ctx, p, in.KeyInput, wire.SendMessage{
			InteractionID: in.ID, ClientID: in.Body.ClientID, Payload: wire.SendPayload(in.Body.Payload),
			ReplyTo: in.Body.ReplyTo, SeenOffset: in.Body.SeenOffset,
		})
	})
	register(s, endpoint{
		id: "message-send", method: http.MethodPost, path: "/api/v1/messages", tag: "messages", status: http.StatusCreated,
		summary: "Write to somebody first", scope: map[string]string{"channelId": "channel", "payload.files": "file"},
		sample: `{"channelId":"{channel}","to":"+12025550100",` + client + `}`,
	}, func(ctx context.Context, p auth.Principal, in *firstMessageInput) (*sentOutput, error) {
		return s.send(ctx, p, in.KeyInput, wire.SendMessage{
			ChannelID: in.Body.ChannelID, To: in.Body.To, ClientID: in.Body.ClientID, Payload: wire.SendPayload(in.Body.Payload),
		})
	})
	register(s, endpoint{
		id: "message-retry", method: http.MethodPost, path: "/api/v1/messages/{id}/retry", tag: "messages",
		summary: "Send a message again that has failed, if it may be sent now", scope: map[string]string{"id": "message"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*plain[wire.Message], error) {
		m, err := s.d.Pipeline.Retry(ctx, actor(p), wire.RetryMessage{MessageID: in.ID})
		if err != nil {
			return nil, err
		}
		views, err := s.newMessages(ctx, p.Tenant, []omni.ServiceMessage{m})
		if err != nil {
			return nil, err
		}
		return &plain[wire.Message]{Body: views[0]}, nil
	})
	register(s, endpoint{
		id: "message-get", method: http.MethodGet, path: "/api/v1/messages/{id}", tag: "messages",
		summary: "A message, its statuses and what was done with it", scope: map[string]string{"id": "message"},
	}, func(ctx context.Context, p auth.Principal, in *RecordInput) (*plain[MessageBody], error) {
		m, err := s.d.Pipeline.Message(ctx, actor(p), in.ID)
		if err != nil {
			return nil, err
		}
		views, err := s.newMessages(ctx, p.Tenant, []omni.ServiceMessage{m})
		if err != nil {
			return nil, err
		}
		b := MessageBody{Message: views[0], StatusHistory: []StatusBody{}, WorkflowSteps: []WorkflowStepBody{}}
		for _, st := range m.StatusHistory {
			b.StatusHistory = append(b.StatusHistory, StatusBody{Status: st.Status, At: st.ReceivedAt, ErrorCode: st.ErrorCode, Reason: st.Reason})
		}
		for _, w := range m.WorkflowSteps {
			b.WorkflowSteps = append(b.WorkflowSteps, WorkflowStepBody(w))
		}
		return &plain[MessageBody]{Body: b}, nil
	})
}

// send does a message once for its Idempotency-Key, and once for its clientId in any case.
func (s *Server) send(ctx context.Context, p auth.Principal, key KeyInput, c wire.SendMessage) (*sentOutput, error) {
	return once(ctx, s, p, key, c, func() (*sentOutput, error) {
		m, created, err := s.d.Pipeline.Send(ctx, actor(p), c)
		if err != nil {
			return nil, err
		}
		out := &sentOutput{Status: http.StatusOK, Body: wire.NewMessage(m)}
		if created {
			out.Status = http.StatusCreated
		}
		return out, nil
	})
}
