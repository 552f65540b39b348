// The records that REST and events share, and the frames of the protocol `omni.v1`. They mirror the Go package
// omni/wire, which is the truth. Times are milliseconds since 1970.

export type Millis = number;
export type ChannelType = "SMS" | "MMS" | "WhatsApp" | "PubNub" | "LiveChat";
export type Direction = "INBOUND" | "OUTBOUND";
export type Status = "queued" | "unknown" | "sent" | "failed" | "undeliverable" | "delivered" | "read";
export type Reason =
  | "throttled"
  | "unreachable"
  | "rejected"
  | "misconfigured"
  | "opted_out"
  | "window_closed"
  | "malformed"
  | "unknown";
export type InteractionState = "open" | "snoozed" | "resolved";
export type Role = "admin" | "supervisor" | "agent" | "service" | "visitor";
export type MediaType = "image" | "video" | "audio" | "document";
export type MediaState = "pending" | "ready" | "failed";
export type PayloadType =
  | "text"
  | "image"
  | "media"
  | "template"
  | "interactive"
  | "location"
  | "contacts"
  | "unsupported";
export type TemplateCategory = "MARKETING" | "UTILITY" | "AUTHENTICATION";
export type TemplateStatus =
  | "APPROVED"
  | "PENDING"
  | "REJECTED"
  | "IN_APPEAL"
  | "PAUSED"
  | "DISABLED"
  | "LIMIT_EXCEEDED"
  | "ARCHIVED"
  | "LOCKED"
  | "PENDING_DELETION"
  | "DELETED"
  | "OTHER";

/** Why a command or a REST call failed. `offline` and `timeout` are ours: no answer came. */
export type ErrorCode =
  | "invalid"
  | "unauthenticated"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "rate_limited"
  | "unavailable"
  | "unsupported"
  | "window_closed"
  | "opted_out"
  | "internal"
  | "offline"
  | "timeout";

export interface MediaFile {
  id?: string;
  type: MediaType;
  contentType?: string;
  size?: number;
  name?: string;
  state: MediaState;
  failure?: string;
  url?: string;
  /** When url ends, server time in ms. */
  urlUntil?: number;
}

/** A place on Earth. The payload's text has its name and address too, or its coordinates. */
export interface Place {
  latitude: number;
  longitude: number;
  name?: string;
  address?: string;
}

/** A contact that somebody passed on: text from outside. */
export interface ContactCard {
  name: string;
  phones?: string[];
  emails?: string[];
  organisation?: string;
}

export interface Payload {
  type: PayloadType;
  text?: string;
  files?: MediaFile[];
  location?: Place;
  contacts?: ContactCard[];
  buttonPayload?: string;
  unsupported?: string;
  /** The template that the text was made of. */
  template?: { templateId?: string; name: string; language: string };
}

/** What fills one place of a template. */
export interface TemplateParameter {
  type: "text" | "payload" | "coupon_code" | "image" | "video" | "document" | "location";
  /** Of a named place. */
  name?: string;
  text?: string;
  /** Of a file: https, the carrier fetches it. */
  url?: string;
  /** Instead of url, in a header: a file that was uploaded. */
  fileId?: string;
  location?: Place;
}

export interface TemplateComponent {
  type: "header" | "body" | "button";
  subType?: string;
  index?: number;
  parameters: TemplateParameter[];
}

/** A template of the channel's account, filled in. */
export interface SendTemplate {
  templateId: string;
  components?: TemplateComponent[];
}

export interface Message {
  id: string;
  interactionId: string;
  seq: number;
  direction: Direction;
  channelType: ChannelType;
  userId?: string;
  payload: Payload;
  clientId?: string;
  replyTo?: string;
  segments?: number;
  status?: Status;
  statusAt?: Millis;
  /** How often somebody had it sent again after it had failed. */
  attempt?: number;
  reason?: Reason;
  errorCode?: string;
  errorText?: string;
  at: Millis;
  /** When its sender changed it. */
  editedAt?: Millis;
  /** When its sender took it back: of its payload there is the type alone then. */
  deletedAt?: Millis;
  /** Oldest first. In what REST reads and in message.updated, where nothing stands for none; other events leave them out. */
  reactions?: Reaction[];
}

/** An emoji on a message. A sender has one on a message: of two the later counts. */
export interface Reaction {
  senderType: "CONTACT" | "USER";
  senderId: string;
  /** Text from outside; "" says that it was taken away. */
  emoji: string;
  at: Millis;
}

export interface ReactionChange {
  messageId: string;
  interactionId: string;
  reaction: Reaction;
}

export interface MessageDeletion {
  messageId: string;
  interactionId: string;
  at: Millis;
}

export interface VisitorMessage {
  id: string;
  seq: number;
  /** INBOUND: the visitor wrote it. */
  direction: Direction;
  senderName?: string;
  payload: Payload;
  clientId?: string;
  status?: Status;
  at: Millis;
}

export interface StatusChange {
  messageId: string;
  interactionId: string;
  status: Status;
  at: Millis;
  /** How often the message had been sent again by then. */
  attempt?: number;
  reason?: Reason;
  errorCode?: string;
  errorText?: string;
}

export interface Owner {
  type: "User" | "Group";
  id: string;
}

export interface Interaction {
  id: string;
  contactId: string;
  channelId: string;
  channelType: ChannelType;
  groupId: string;
  folderId?: string;
  owner: Owner;
  state: InteractionState;
  contactName?: string;
  contactAddress: string;
  lastSeq: number;
  lastMessageAt: Millis;
  lastPreview?: string;
  lastDirection?: Direction;
  lastInboundAt?: Millis;
  waitingSince?: Millis;
  unread: number;
  agentReadSeq: number;
  contactReadSeq: number;
  version: number;
  createdAt: Millis;
  resolvedAt?: Millis;
}

export interface InteractionChange {
  interactionId: string;
  version?: number;
  owner?: Owner;
  state?: InteractionState;
  resolvedAt?: Millis;
  agentReadSeq?: number;
  contactReadSeq?: number;
  unread?: number;
  contactName?: string;
  by?: string;
  reason?: string;
}

export interface ConsentChange {
  contactId: string;
  channelType: ChannelType;
  address: string;
  optedOut: boolean;
  /** Of marketing messages alone. */
  marketing?: boolean;
  by: string;
}

export interface TemplateChange {
  templateId: string;
  carrierAccountId: string;
  name: string;
  language: string;
  category: TemplateCategory;
  status: TemplateStatus;
  quality: "GREEN" | "YELLOW" | "RED" | "UNKNOWN";
  reason?: string;
  usable: boolean;
  version: number;
}

export interface SettingsChange {
  kind: "user" | "group" | "channel" | "carrier-account" | "folder" | "organisation";
  id: string;
}

export interface HealthChange {
  channelId: string;
  state: "ok" | "degraded" | "down";
  reason?: string;
}

export interface SessionEnd {
  reason: string;
}

export interface Person {
  type: "CONTACT" | "USER";
  id?: string;
  name?: string;
}

export interface Typing {
  interactionId: string;
  who: Person;
  /** 0: stopped. */
  until: Millis;
}

/** A user looks at a conversation, or no longer does. Told when that begins and ends, not while it goes on. */
export interface Viewing {
  interactionId: string;
  who: Person;
  /** When it ends if nobody renews it; 0: it has ended. */
  until: Millis;
}

/** A user comes, goes, or is in another state. Told as Viewing is, while at most 500 users are there. */
export interface Presence {
  who: Person;
  state: "online" | "away" | "busy" | "offline";
  /** When they are gone if nobody renews it; 0: they are. */
  until: Millis;
}

/** What each event carries. Passing ones have no offset and are never replayed. */
export interface EventData {
  "message.created": Message;
  "message.status": StatusChange;
  "message.updated": Message;
  "message.deleted": MessageDeletion;
  "message.reaction": ReactionChange;
  "interaction.created": Interaction;
  "interaction.updated": InteractionChange;
  "interaction.assigned": InteractionChange;
  "interaction.resolved": InteractionChange;
  "interaction.reopened": InteractionChange;
  "consent.changed": ConsentChange;
  "settings.changed": SettingsChange;
  "session.ended": SessionEnd;
  "channel.health": HealthChange;
  "template.status": TemplateChange;
  typing: Typing;
  viewing: Viewing;
  presence: Presence;
}

export interface TopicPosition {
  topic: string;
  epoch: string;
  offset: number;
}

export interface TopicState extends TopicPosition {
  state: "fresh" | "recovered" | "reset";
}

export interface Connected {
  connectionId: string;
  userId?: string;
  visitorId?: string;
  serverTime: Millis;
  heartbeatMs: number;
  expiresAt?: Millis;
  topics: TopicState[];
}

/** A frame from the server that answers nothing. Types we do not know are handed on and ignored. */
export interface EventFrame<D = unknown> {
  type: string;
  topic?: string;
  offset?: number;
  at: Millis;
  data: D;
}

export interface HeartbeatData {
  offsets?: Record<string, number>;
  /** Only topics whose epoch is not the one that connect told. */
  epochs?: Record<string, string>;
}

export interface WireError {
  code: ErrorCode;
  message: string;
  fields?: Record<string, string>;
  details?: Record<string, unknown>;
  retryAfterMs?: number;
}

export interface ReplyFrame {
  id: number;
  type: "ok" | "error";
  data?: unknown;
  error?: WireError;
}

export interface InteractionOpened {
  topic: string;
  interaction: Interaction;
  /** Other users who look at it now. */
  viewers?: Viewing[];
  /** Others who type now. */
  typing?: Typing[];
}
