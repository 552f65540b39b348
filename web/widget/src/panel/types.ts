import type { Millis, TopicPosition, VisitorMessage } from "@omni/shared";

/** What the owner of the site has set for the widget. */
export interface Config {
  publicId: string;
  title: string;
  greeting: string;
  accent: string;
  online: boolean;
  /** What files a visitor may send; none if it is not there. */
  files?: { types: string[]; maxBytes: number };
}

export interface Session {
  visitorId: string;
  token: string;
  expiresAt: Millis;
  ticket: string;
  online: boolean;
  conversation?: { state: string; contactReadSeq: number; agentReadSeq: number; lastSeq: number };
  topics: TopicPosition[];
}

export interface Page {
  items: VisitorMessage[];
  hasMore: boolean;
  topics: TopicPosition[];
}
