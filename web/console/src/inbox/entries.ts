import { dayKey, type Message } from "@omni/shared";
import type { Pending } from "../live/store";

/** A line of the timeline: a message, and what stands above it. */
export interface Entry {
  key: string;
  message?: Message;
  pending?: Pending;
  at: number;
  /** First of its day. */
  day: boolean;
  /** The "New" line stands above it. */
  isNew: boolean;
  /** First and last of a block: same sender and channel within 5 minutes (TH2). */
  first: boolean;
  last: boolean;
}

const blockMs = 5 * 60_000;

function sender(e: Entry, me: string): string {
  return e.message ? `${e.message.direction} ${e.message.userId ?? ""}` : `OUTBOUND ${me}`;
}

/** Lays a thread out. `newFrom` is the seq above which messages were new when the thread was opened; 0: none. */
export function entries(
  messages: readonly Message[],
  pending: readonly Pending[],
  newFrom: number,
  me: string,
): Entry[] {
  const sent = new Set(messages.map((m) => m.clientId));
  const all: Entry[] = [
    ...messages.map((message) => ({ key: message.clientId || message.id, message, at: message.at })),
    ...pending.filter((p) => !sent.has(p.clientId)).map((p) => ({ key: p.clientId, pending: p, at: p.at })),
  ].map((e) => ({ ...e, day: false, isNew: false, first: true, last: true }));
  let before: Entry | undefined;
  let marked = newFrom <= 0;
  for (const e of all) {
    e.day = !before || dayKey(before.at) !== dayKey(e.at);
    if (!marked && e.message?.direction === "INBOUND" && e.message.seq >= newFrom) {
      e.isNew = true;
      marked = true;
    }
    const same = before && sender(before, me) === sender(e, me);
    const channel = !before?.message || !e.message || before.message.channelType === e.message.channelType;
    if (before && same && channel && !e.day && !e.isNew && e.at - before.at < blockMs) {
      e.first = false;
      before.last = false;
    }
    before = e;
  }
  return all;
}
