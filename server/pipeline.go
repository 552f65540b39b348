package server

import (
	"context"

	"omniservice/carriers"
	"omniservice/carriers/reroute"
	"omniservice/omni"
	"omniservice/omni/wire"
	"omniservice/pipeline"
	"omniservice/store"
)

// Pipeline is what the server needs of the pipeline: *pipeline.Pipeline is one.
type Pipeline interface {
	Account(ctx context.Context, publicID string) (*pipeline.Account, error)
	AccountByID(ctx context.Context, t omni.Tenant, id string) (*pipeline.Account, error)
	CheckAccount(rec omni.CarrierAccount) error
	WebhookURL(rec omni.CarrierAccount) string
	Forget(kind, id string)
	Refused(a *pipeline.Account, reason string)
	AnswerCheck(publicID, asked string) string
	Health(ctx context.Context, t omni.Tenant, accountID string) (pipeline.Health, error)
	ChannelsOf(ctx context.Context, t omni.Tenant, accountID string) ([]omni.DigitalChannel, error)
	Check(ctx context.Context, t omni.Tenant, accountID string) ([]carriers.Check, error)
	Accept(ctx context.Context, a *pipeline.Account, r carriers.WebhookRequest, parsed carriers.Parsed, elsewhere ...reroute.Destination) error
	Share(ctx context.Context, a *pipeline.Account, r carriers.WebhookRequest) (own []byte, elsewhere []reroute.Destination, err error)
	Attempts(mappingID string) []reroute.HTTPResponse
	Kick()
	CatchUp(ctx context.Context, t omni.Tenant, accountID string) error

	VisibleGroups(ctx context.Context, a Actor) ([]omni.DigitalChannelGroup, error)
	Topics(ctx context.Context, a Actor) ([]string, error)
	Interaction(ctx context.Context, a Actor, id string) (omni.Interaction, error)
	Message(ctx context.Context, a Actor, id string) (omni.ServiceMessage, error)
	Send(ctx context.Context, a Actor, c wire.SendMessage) (omni.ServiceMessage, bool, error)
	Upload(ctx context.Context, a Actor, u pipeline.Upload) (omni.MediaFile, error)
	Retry(ctx context.Context, a Actor, c wire.RetryMessage) (omni.ServiceMessage, error)
	Read(ctx context.Context, a Actor, c wire.ReadMessage) error
	Typing(ctx context.Context, a Actor, c wire.TypingCommand) error
	Claim(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error)
	Release(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error)
	Resolve(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error)
	Reopen(ctx context.Context, a Actor, c wire.InteractionAction) (omni.Interaction, error)
	Assign(ctx context.Context, a Actor, c wire.AssignInteraction) (omni.Interaction, error)
	Move(ctx context.Context, a Actor, c wire.MoveInteraction) (omni.Interaction, error)
	Snooze(ctx context.Context, a Actor, c wire.SnoozeInteraction) (omni.Interaction, error)
	Label(ctx context.Context, a Actor, c wire.LabelInteraction) (omni.Interaction, error)
	AddNote(ctx context.Context, a Actor, c wire.AddNote) (omni.Note, bool, error)
	Notes(ctx context.Context, a Actor, interactionID string, p store.Page) (store.List[omni.Note], error)
	SaveDraft(ctx context.Context, a Actor, c wire.SaveDraft) (omni.Draft, error)
	Drafts(ctx context.Context, a Actor, interactionID string) ([]omni.Draft, error)

	VisitorSend(ctx context.Context, v omni.Visitor, c wire.SendMessage) (omni.ServiceMessage, bool, error)
	VisitorRead(ctx context.Context, v omni.Visitor, c wire.ReadMessage) error
	VisitorTyping(ctx context.Context, v omni.Visitor, c wire.TypingCommand) error
	VisitorEnd(ctx context.Context, v omni.Visitor) error
	VisitorUpdate(ctx context.Context, v omni.Visitor, c wire.UpdateVisitor) error
	Staffed(ctx context.Context, t omni.Tenant, channelID string, there []string) (bool, error)
	VisitorInteraction(ctx context.Context, v omni.Visitor) (omni.Interaction, error)
	VisitorMessages(ctx context.Context, v omni.Visitor, w store.MessageWindow) ([]omni.ServiceMessage, error)
	VisitorView(ctx context.Context, m omni.ServiceMessage) wire.VisitorMessage
}

// Actor is on whose behalf the pipeline acts.
type Actor = pipeline.Actor
