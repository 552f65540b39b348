// Records that only REST has; those that events carry too are in @omni/shared.
import type { ChannelType, Interaction, Message, Millis, Role, TopicPosition } from "@omni/shared";

export interface User {
  id: string;
  name: string;
  email?: string;
  role: Role;
  disabled?: boolean;
}

export interface Group {
  id: string;
  name: string;
  type: "PRIVATE" | "SHARED";
  userId?: string;
  memberIds: string[];
  colour?: string;
}

export interface Session {
  accessToken: string;
  expiresAt: Millis;
  user: User;
  organisation: { id: string; name: string };
}

export interface Me {
  user: User;
  organisation: { id: string; name: string };
  groups: Group[];
}

export interface Capabilities {
  maxTextLength: number;
  segmented: boolean;
  deliveryStatus: boolean;
  readStatus: boolean;
  typing: boolean;
}

export interface Channel {
  id: string;
  name: string;
  groupId: string;
  channelType: ChannelType;
  address: string;
  capabilities: Capabilities;
  disabled?: boolean;
}

export interface ContactIdentity {
  id: string;
  channelType: ChannelType;
  address: string;
  name?: string;
  verified?: boolean;
  optedOutAt?: Millis;
  lastSeenAt?: Millis;
}

export interface Contact {
  id: string;
  name: string;
  language?: string;
  labels?: string[];
  attributes?: Record<string, unknown>;
  version: number;
  createdAt: Millis;
  identities: ContactIdentity[];
}

export type View = "mine" | "unassigned" | "all";
export type Counts = Record<View, number>;

export interface InteractionPage {
  items: Interaction[];
  /** Cursor of the next page; absent or empty at the end. */
  next?: string;
  counts: Counts;
  topics: TopicPosition[];
}

export interface MessagePage {
  /** Ascending by seq. */
  items: Message[];
  hasMore: boolean;
  topics: TopicPosition[];
}
