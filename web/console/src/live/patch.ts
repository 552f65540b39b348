// What an event changes in what is shown. Pure functions; applying an event twice, or one that the data already
// holds, changes nothing (RT2, RT3).
import {
  type Interaction,
  type InteractionChange,
  type Message,
  type MessageDeletion,
  type ReactionChange,
  type StatusChange,
  supersedes,
  withStatus,
} from "@omni/shared";
import type { InfiniteData } from "@tanstack/react-query";
import type { ListFilter } from "../api/endpoints";
import type { Counts, InteractionPage, View } from "../api/records";

export type ListData = InfiniteData<InteractionPage, string>;

export interface Thread {
  /** Ascending by seq, without holes. */
  items: Message[];
  hasMore: boolean;
}

export function inView(i: Interaction, view: View, me: string): boolean {
  switch (view) {
    case "mine":
      return i.owner.type === "User" && i.owner.id === me;
    case "unassigned":
      return i.owner.type === "Group";
    case "all":
      return true;
  }
}

const isResolved = (i: Interaction) => i.state === "resolved";

export function inList(i: Interaction, f: ListFilter, me: string): boolean {
  return isResolved(i) === (f.state === "resolved") && inView(i, f.view, me);
}

/** Newest activity first; equal times by id, so that the order is the same everywhere. */
function newer(a: Interaction, b: Interaction): boolean {
  return a.lastMessageAt === b.lastMessageAt ? a.id > b.id : a.lastMessageAt > b.lastMessageAt;
}

/** Puts an interaction where it belongs in a list, or takes it out. Beyond the loaded pages it is left to paging. */
export function placed(data: ListData, i: Interaction, f: ListFilter, me: string): ListData {
  const belongs = inList(i, f, me);
  const at = data.pages.findIndex((p) => p.items.some((x) => x.id === i.id));
  if (at < 0 && !belongs) return data;
  const pages = data.pages.map((p, n) => (n === at ? { ...p, items: p.items.filter((x) => x.id !== i.id) } : p));
  if (belongs) {
    let target = pages.findIndex((p) => p.items.some((x) => newer(i, x)));
    const last = pages.length - 1;
    if (target < 0 && (at >= 0 || !pages[last]?.next)) target = last;
    const page = pages[target];
    if (page) {
      const before = page.items.findIndex((x) => newer(i, x));
      const items = [...page.items];
      items.splice(before < 0 ? items.length : before, 0, i);
      pages[target] = { ...page, items };
    }
  }
  return { ...data, pages };
}

/** Moves counts of open interactions from what one was to what it is. */
export function counted(counts: Counts, before: Interaction | undefined, after: Interaction, me: string): Counts {
  const open = (i: Interaction | undefined, view: View) => (i && !isResolved(i) && inView(i, view, me) ? 1 : 0);
  const next = { ...counts };
  for (const view of ["mine", "unassigned", "all"] as const) {
    next[view] = Math.max(0, next[view] - open(before, view) + open(after, view));
  }
  return next;
}

export function withChange(i: Interaction, c: InteractionChange): Interaction {
  const stale = c.version !== undefined && c.version !== 0 && c.version < i.version;
  const next = { ...i };
  if (c.version && !stale) next.version = c.version;
  if (!stale) {
    if (c.owner) next.owner = c.owner;
    if (c.state) {
      next.state = c.state;
      if (c.state === "resolved") next.resolvedAt = c.resolvedAt ?? i.resolvedAt ?? 0;
      else delete next.resolvedAt;
    }
    if (c.contactName !== undefined) next.contactName = c.contactName;
  }
  const readBack = c.agentReadSeq !== undefined && c.agentReadSeq < i.agentReadSeq;
  if (c.agentReadSeq !== undefined) next.agentReadSeq = Math.max(i.agentReadSeq, c.agentReadSeq);
  if (c.contactReadSeq !== undefined) next.contactReadSeq = Math.max(i.contactReadSeq, c.contactReadSeq);
  if (c.unread !== undefined && !readBack) next.unread = c.unread;
  return next;
}

/** An interaction as an answer told it, without losing what events told since. */
export function newest(known: Interaction | undefined, answer: Interaction): Interaction {
  if (!known || (answer.version >= known.version && answer.lastSeq >= known.lastSeq)) return answer;
  return answer.version > known.version ? { ...known, ...pick(answer), version: answer.version } : known;
}

function pick(i: Interaction): Pick<Interaction, "owner" | "state"> {
  return { owner: i.owner, state: i.state };
}

/** What stands for a message in one line. Kinds without text are named by the caller's words. */
export function preview(m: Message, kind: (name: string) => string): string {
  const text = m.payload.text?.replace(/\s+/g, " ").trim().slice(0, 200);
  if (text) return text;
  const file = m.payload.files?.[0];
  if (file) return kind(file.type);
  return m.payload.type === "unsupported" ? kind("unsupported") : "";
}

export function withMessage(i: Interaction, m: Message, kind: (name: string) => string): Interaction {
  if (m.seq <= i.lastSeq) return i;
  const next: Interaction = {
    ...i,
    lastSeq: m.seq,
    lastMessageAt: Math.max(i.lastMessageAt, m.at),
    lastPreview: preview(m, kind),
    lastDirection: m.direction,
  };
  if (m.direction === "INBOUND") {
    next.lastInboundAt = m.at;
    next.waitingSince = i.waitingSince || m.at;
    if (m.seq > i.agentReadSeq) next.unread = i.unread + 1;
  } else {
    delete next.waitingSince;
  }
  return next;
}

/** Joins messages by seq; of two copies of one message the higher status stays, and what is known of its files. */
export function merged(a: readonly Message[], b: readonly Message[]): Message[] {
  const all = new Map(a.map((m) => [m.seq, m]));
  for (const m of b) {
    const known = all.get(m.seq);
    const next = known && supersedes(known, m) ? { ...m, ...statusOf(known) } : m;
    const whole = known ? withFiles(next, known) : next;
    const { reactions = whole.reactions } = known ?? {};
    all.set(m.seq, whole.reactions || !reactions ? whole : { ...whole, reactions });
  }
  return [...all.values()].sort((x, y) => x.seq - y.seq);
}

/** Events carry no links to files, and an event that comes again tells of a file as it was. */
function withFiles(m: Message, known: Message): Message {
  const old = known.payload.files;
  if (!old || !m.payload.files) return m;
  const files = m.payload.files.map((f, n) => {
    const k = old[n];
    const further = k && k.state !== "pending" && f.state === "pending";
    return k && (further || (k.state === f.state && (k.urlUntil ?? 0) > (f.urlUntil ?? 0))) ? k : f;
  });
  return { ...m, payload: { ...m.payload, files } };
}

function statusOf(m: Message): Partial<Message> {
  const s: Partial<Message> = {};
  if (m.status) s.status = m.status;
  if (m.statusAt) s.statusAt = m.statusAt;
  if (m.attempt) s.attempt = m.attempt;
  if (m.reason) s.reason = m.reason;
  if (m.errorCode) s.errorCode = m.errorCode;
  if (m.errorText) s.errorText = m.errorText;
  return s;
}

/** Adds a message at the end of a thread. Undefined: messages before it are missing, so the thread is to be read again. */
export function appended(thread: Thread, m: Message): Thread | undefined {
  const last = thread.items.at(-1);
  if (last && m.seq > last.seq + 1) return undefined;
  if (!last && m.seq > 1) return undefined;
  const first = thread.items[0];
  if (first && m.seq < first.seq) return thread;
  return { ...thread, items: merged(thread.items, [m]) };
}

/** The thread with a status applied. Undefined: it does not hold the message. */
export function withMessageStatus(thread: Thread, c: StatusChange): Thread | undefined {
  const at = thread.items.findLastIndex((m) => m.id === c.messageId);
  const found = thread.items[at];
  if (!found) return undefined;
  const next = withStatus(found, c);
  if (next === found) return thread;
  return { ...thread, items: thread.items.with(at, next) };
}

/** The thread with a reaction applied: of two of one sender the later counts. The same thread if it does not hold the message. */
export function withReaction(thread: Thread, c: ReactionChange): Thread {
  return withChanged(thread, c.messageId, (m) => {
    const { reaction: r } = c;
    const all = m.reactions ?? [];
    const had = all.find((x) => x.senderType === r.senderType && x.senderId === r.senderId);
    if (had && had.at > r.at) return m;
    const rest = all.filter((x) => x !== had);
    return { ...m, reactions: r.emoji ? [...rest, r] : rest };
  });
}

/** The thread after a message was taken back. */
export function withDeletion(thread: Thread, d: MessageDeletion): Thread {
  return withChanged(thread, d.messageId, (m) => ({ ...m, deletedAt: d.at, payload: { type: m.payload.type } }));
}

function withChanged(thread: Thread, id: string, change: (m: Message) => Message): Thread {
  const at = thread.items.findLastIndex((m) => m.id === id);
  const found = thread.items[at];
  return found ? { ...thread, items: thread.items.with(at, change(found)) } : thread;
}

/** A message as an answer or message.updated gives it: without the field it has no reactions. */
export function withAllReactions(m: Message): Message {
  return m.reactions ? m : { ...m, reactions: [] };
}

/** A thread after its newest page was read again: joined to what was there if they touch, else that page alone. */
export function reread(known: Thread | undefined, page: Thread): Thread {
  const last = known?.items.at(-1);
  const first = page.items[0];
  if (!known || !last || !first || first.seq > last.seq + 1) return page;
  return { items: merged(known.items, page.items), hasMore: known.hasMore };
}
