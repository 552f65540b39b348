package wire

// A message of the protocol, for documents and tests that are made from these tables. A new command or event is a constant in
// wire.go and a line here; a test fails while one is without the other.

// CommandSpec says what a command carries and how it is answered.
type CommandSpec struct {
	Type     string
	About    string // what it does, in a line
	Data     any    // zero value of the type of its data
	Answer   any    // zero value of the type of the data of ok
	Visitors any    // zero value of the answer to a visitor; nil: visitors may not
	NoAgents bool   // agents and programs may not
}

// EventSpec says what an event carries.
type EventSpec struct {
	Type     string
	About    string // what happened, in a line
	Data     any    // zero value of the type of its data
	Visitors any    // zero value of the type of what visitors get; nil: they do not hear of it
	NoAgents bool   // agents and programs do not hear of it
	Passing  bool   // no offset: who misses it does not hear of it
}

// Nothing is data without anything in it.
type Nothing struct{}

// Commands are all commands.
var Commands = []CommandSpec{
	{Type: CmdConnect, About: "Says who one is, and how far one knows one's topics. The first command of a connection", Data: Connect{}, Answer: Connected{}, Visitors: Connected{}},
	{Type: CmdAuthRefresh, About: "Extends the connection with a newer token of the same login", Data: AuthRefresh{}, Answer: AuthRefreshed{}},
	{Type: CmdMessageSend, About: "Sends a message; answered once it is durable. The same clientId again answers the same message", Data: SendMessage{}, Answer: Message{}, Visitors: VisitorMessage{}},
	{Type: CmdMessageRead, About: "Notes how far one has read", Data: ReadMessage{}, Answer: Nothing{}, Visitors: Nothing{}},
	{Type: CmdTyping, About: "Tells the others that one types, or has stopped", Data: TypingCommand{}, Answer: Nothing{}, Visitors: Nothing{}},
	{Type: CmdInteractionOpen, About: "Joins the topic of an interaction: typing is told there", Data: InteractionRef{}, Answer: InteractionOpened{}},
	{Type: CmdViewing, About: "Tells the others that one looks at an open interaction, or has turned away", Data: ViewingCommand{}, Answer: Nothing{}},
	{Type: CmdPresenceSet, About: "Sets one's presence for as long as one is there: online, away or busy", Data: SetPresence{}, Answer: Nothing{}},
	{Type: CmdInteractionCloseView, About: "Leaves the topic of an interaction", Data: InteractionRef{}, Answer: Nothing{}},
	{Type: CmdInteractionClaim, About: "Takes an interaction that nobody has", Data: InteractionAction{}, Answer: Interaction{}},
	{Type: CmdInteractionAssign, About: "Gives an interaction to a user or a group", Data: AssignInteraction{}, Answer: Interaction{}},
	{Type: CmdInteractionRelease, About: "Gives an interaction back to its group", Data: InteractionAction{}, Answer: Interaction{}},
	{Type: CmdInteractionResolve, About: "Ends an interaction", Data: InteractionAction{}, Answer: Interaction{}},
	{Type: CmdInteractionReopen, About: "Reopens a resolved interaction", Data: InteractionAction{}, Answer: Interaction{}},
	{Type: CmdMessageRetry, About: "Sends a message again that has failed", Data: RetryMessage{}, Answer: Message{}},
	{Type: CmdInteractionMove, About: "Gives an interaction to another group", Data: MoveInteraction{}, Answer: Interaction{}},
	{Type: CmdInteractionSnooze, About: "Puts an interaction aside until a moment, or until its contact writes", Data: SnoozeInteraction{}, Answer: Interaction{}},
	{Type: CmdInteractionLabel, About: "Sets the labels of an interaction", Data: LabelInteraction{}, Answer: Interaction{}},
	{Type: CmdNoteAdd, About: "Adds a note that agents alone see. The same clientId again answers the same note", Data: AddNote{}, Answer: Note{}},
	{Type: CmdDraftSave, About: "Keeps what a user has begun to write", Data: SaveDraft{}, Answer: Draft{}},
	{Type: CmdConversationEnd, About: "Ends a visitor's own conversation", Data: Nothing{}, Visitors: Nothing{}, NoAgents: true},
	{Type: CmdVisitorUpdate, About: "Tells agents what a visitor says of themselves. Nobody vouches for it, and it replaces nothing but what the visitor said before", Data: UpdateVisitor{}, Visitors: Nothing{}, NoAgents: true},
}

// Events are all events.
var Events = []EventSpec{
	{Type: MessageCreated, About: "A message came or was written", Data: Message{}, Visitors: VisitorMessage{}},
	{Type: MessageStatus, About: "A message got further, or failed; never lower than what was told before", Data: StatusChange{}, Visitors: StatusChange{}},
	{Type: MessageUpdated, About: "Something of a message is other than it was, such as a file that is ready now", Data: Message{}},
	{Type: MessageDeleted, About: "The sender of a message took it back", Data: MessageDeletion{}},
	{Type: MessageReaction, About: "Somebody reacted to a message, or took that back", Data: ReactionChange{}},
	{Type: InteractionCreated, About: "A conversation began", Data: Interaction{}},
	{Type: InteractionUpdated, About: "Something of an interaction changed, such as how far it was read", Data: InteractionChange{}, Visitors: InteractionChange{}},
	{Type: InteractionAssigned, About: "An interaction has another owner", Data: InteractionChange{}},
	{Type: InteractionResolved, About: "An interaction ended", Data: InteractionChange{}, Visitors: InteractionChange{}},
	{Type: InteractionReopened, About: "A resolved interaction is open again", Data: InteractionChange{}, Visitors: InteractionChange{}},
	{Type: InteractionMoved, About: "An interaction is in another group; told at both", Data: InteractionChange{}},
	{Type: InteractionSnoozed, About: "An interaction was put aside", Data: InteractionChange{}},
	{Type: MediaReady, About: "A file of a message is there", Data: FileChange{}},
	{Type: MediaFailed, About: "A file of a message cannot be had", Data: FileChange{}},
	{Type: NoteCreated, About: "An agent wrote a note", Data: Note{}},
	{Type: DraftUpdated, About: "A user's draft changed, in another window perhaps", Data: Draft{}},
	{Type: ContactUpdated, About: "Something of a contact changed", Data: ContactChange{}},
	{Type: ConsentChanged, About: "A contact opted out or in", Data: ConsentChange{}},
	{Type: SettingsChanged, About: "A setting changed: read it again", Data: SettingsChange{}},
	{Type: SessionEnded, About: "The login ended", Data: SessionEnd{}, Visitors: SessionEnd{}},
	{Type: ChannelHealth, About: "A channel works, works badly, or does not", Data: HealthChange{}},
	{Type: TypingEvent, About: "Somebody types, or has stopped", Data: Typing{}, Visitors: Typing{}, Passing: true},
	{Type: ViewingEvent, About: "A user looks at an interaction, or no longer does", Data: Viewing{}, Passing: true},
	{Type: PresenceEvent, About: "A user comes, goes, or is in another state", Data: Presence{}, Passing: true},
	{Type: AvailabilityEvent, About: "Whether somebody of the team is there", Visitors: Availability{}, NoAgents: true, Passing: true},
	{Type: Heartbeat, About: "The newest offset of each topic of the connection, as the bus knows it", Data: HeartbeatData{}, Visitors: HeartbeatData{}, Passing: true},
}
