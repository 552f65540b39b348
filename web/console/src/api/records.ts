// Records that only REST has; those that events carry too are in @omni/shared.
import type { ChannelType, Interaction, Message, Owner, TopicPosition } from "@omni/shared";
import type { components } from "@omni/shared/api";

type Schemas = components["schemas"];

export type User = Schemas["UserBody"];
export type Group = Schemas["GroupBody"];
export type Session = Schemas["SessionBody"];
export type Me = Schemas["MeBody"];
export type Channel = Schemas["ChannelBody"] & { channelType: ChannelType };
export type Capabilities = Schemas["Capabilities"];
export type Uploaded = Schemas["MediaBody"];
export type ContactIdentity = Schemas["IdentityBody"] & { channelType: ChannelType };
export type Contact = Omit<Schemas["ContactBody"], "identities"> & { identities: ContactIdentity[] };

export type View = "mine" | "unassigned" | "all";
export type Counts = Schemas["Counts"];

export type InteractionPage = Omit<Schemas["InteractionListBody"], "items"> & {
  items: Interaction[];
  topics: TopicPosition[];
};

export type MessagePage = Omit<Schemas["MessageListBody"], "items"> & { items: Message[] };

type Fits<Ours extends Documented, Documented> = Ours;

/** Where the API's document says `string`, our records say which ones; the compiler checks that they fit into it. */
export type Conforming = [
  Fits<Interaction, Schemas["Interaction"]>,
  Fits<Message, Schemas["Message"]>,
  Fits<Owner, Schemas["Owner"]>,
  Fits<TopicPosition, Schemas["TopicPosition"]>,
  Fits<InteractionPage, Schemas["InteractionListBody"]>,
  Fits<MessagePage, Schemas["MessageListBody"]>,
  Fits<Contact, Schemas["ContactBody"]>,
  Fits<Channel, Schemas["ChannelBody"]>,
];
