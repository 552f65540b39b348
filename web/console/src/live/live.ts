import {
  type ConsentChange,
  EarlyStatuses,
  type EventFrame,
  type Interaction,
  type InteractionChange,
  isCode,
  type Message,
  OmniError,
  OmniSocket,
  openOutbox,
  type SettingsChange,
  type SocketStatus,
  type StatusChange,
  type TopicPosition,
  type Typing,
  typingShownMs,
  uuidv7,
  withStatus,
} from "@omni/shared";
import type { QueryClient } from "@tanstack/react-query";
import { api, type ListFilter } from "../api/endpoints";
import type { Contact, Counts } from "../api/records";
import { accessToken, end, refresh } from "../api/session";
import { t } from "../i18n";
import type { UploadedFile } from "./files";
import { keys } from "./keys";
import {
  appended,
  counted,
  type ListData,
  merged,
  newest,
  placed,
  reread,
  type Thread,
  withChange,
  withMessage,
  withMessageStatus,
} from "./patch";
import { announce, type Pending, useLive } from "./store";

export const pageSize = 50;

const kind = (name: string) => t(`kind.${name as "image"}`);

/** What one logged-in user's screen knows: the socket, the cache that its events patch, and what waits to be sent. */
export class Live {
  readonly socket: OmniSocket;
  private readonly qc: QueryClient;
  private readonly me: string;
  private readonly outbox = openOutbox("omni-console");
  private readonly early = new EarlyStatuses();
  private readonly open = new Map<string, number>();
  private readonly reads = new Map<string, number>();
  private readonly sending = new Set<string>();
  private readonly fetching = new Set<string>();
  private readonly typingTimers = new Map<string, ReturnType<typeof setTimeout>>();
  private countsTimer: ReturnType<typeof setTimeout> | undefined;
  private flushTimer: ReturnType<typeof setTimeout> | undefined;
  private catchUp: { left: number; messages: number; conversations: Set<string> } | undefined;
  private spoken: string[] = [];
  private speakTimer: ReturnType<typeof setTimeout> | undefined;
  private focused: string | undefined;

  constructor(qc: QueryClient, me: string, socket?: (o: ConstructorParameters<typeof OmniSocket>[0]) => OmniSocket) {
    this.qc = qc;
    this.me = me;
    const options: ConstructorParameters<typeof OmniSocket>[0] = {
      url: `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}/ws`,
      client: `console/${__VERSION__}`,
      ticket: () => api.ticket(),
      refresh,
      token: accessToken,
      onEvent: (e) => this.onEvent(e),
      onPassing: (e) => this.onPassing(e),
      onReset: () => this.onReset(),
      onStatus: (s) => this.onStatus(s),
      onConnected: (_, missed) => this.onConnected(missed),
    };
    this.socket = socket ? socket(options) : new OmniSocket(options);
    void this.restore();
  }

  stop(): void {
    this.socket.close();
    clearTimeout(this.countsTimer);
    clearTimeout(this.flushTimer);
    clearTimeout(this.speakTimer);
    for (const timer of this.typingTimers.values()) clearTimeout(timer);
  }

  /** Connects again after a login that followed the end of a session. */
  resume(): void {
    if (this.socket.status.state === "stopped") this.socket.start();
  }

  // ---- Reading

  async readList(f: ListFilter, cursor: string, signal: AbortSignal) {
    const page = await api.interactions(f, { ...(cursor ? { cursor } : {}), limit: pageSize }, signal);
    this.qc.setQueryData<Counts>(keys.counts, page.counts);
    for (const i of page.items) this.qc.setQueryData<Interaction>(keys.interaction(i.id), (known) => newest(known, i));
    this.bringUpToDate(page.topics);
    this.socket.learn(page.topics);
    this.socket.start();
    return page;
  }

  async readThread(id: string, signal: AbortSignal): Promise<Thread> {
    const page = await api.messages(id, { limit: pageSize }, signal);
    this.bringUpToDate(page.topics);
    const known = this.qc.getQueryData<Thread>(keys.thread(id));
    return reread(known, { items: this.withEarly(page.items), hasMore: page.hasMore });
  }

  async readOlder(id: string): Promise<void> {
    const first = this.qc.getQueryData<Thread>(keys.thread(id))?.items[0];
    if (!first) return;
    const page = await api.messages(id, { before: first.seq, limit: pageSize });
    this.qc.setQueryData<Thread>(
      keys.thread(id),
      (thread) => thread && { items: merged(this.withEarly(page.items), thread.items), hasMore: page.hasMore },
    );
  }

  /** Reads a message again for links to its files, which events do not carry and which end. */
  async readFiles(m: Message): Promise<Message> {
    const answer = await api.message(m.id);
    this.qc.setQueryData<Thread>(
      keys.thread(m.interactionId),
      (thread) => thread && { ...thread, items: merged(thread.items, [answer]) },
    );
    return answer;
  }

  /** An answer may be older than the events that were applied while it was on its way: those are applied once more. */
  private bringUpToDate(topics: readonly TopicPosition[] | undefined): void {
    const events = this.socket.since(topics ?? []);
    if (events?.length === 0) return;
    // After the answer has gone into the cache.
    setTimeout(() => {
      if (events) for (const e of events) this.apply(e);
      else this.onReset();
    }, 0);
  }

  private withEarly(items: Message[]): Message[] {
    return items.map((m) => {
      const early = this.early.take(m.id);
      return early ? withStatus(m, early) : m;
    });
  }

  find(id: string): Interaction | undefined {
    return this.qc.getQueryData<Interaction>(keys.interaction(id));
  }

  // ---- Events

  private onStatus(s: SocketStatus): void {
    useLive.setState((old) => ({
      socket: s,
      lastHeardAt: this.socket?.lastHeardAt ?? 0,
      downSince: s.state === "open" ? 0 : old.downSince || Date.now(),
    }));
    if (s.state === "stopped" && s.reason === "session") end();
  }

  private onConnected(missed: number): void {
    for (const id of this.open.keys()) this.socket.tell("interaction.open", { interactionId: id });
    for (const [id, seq] of this.reads) void this.reportRead(id, seq);
    this.flush();
    if (missed > 0) {
      this.catchUp = { left: missed, messages: 0, conversations: new Set() };
    }
  }

  private onReset(): void {
    void this.qc.invalidateQueries({ queryKey: keys.lists });
    void this.qc.invalidateQueries({ queryKey: keys.threads });
    void this.qc.invalidateQueries({ queryKey: keys.contacts });
    for (const id of this.open.keys()) void this.fetchInteraction(id);
  }

  private onEvent(e: EventFrame): void {
    this.apply(e);
    const m = e.type === "message.created" ? (e.data as Message) : undefined;
    if (m?.direction === "INBOUND") this.speak(m);
    const c = this.catchUp;
    if (!c) return;
    c.left--;
    if (m?.direction === "INBOUND") {
      c.messages++;
      c.conversations.add(m.interactionId);
    }
    if (c.left > 0) return;
    this.catchUp = undefined;
    if (c.messages === 0) return;
    const caughtUp = { messages: c.messages, conversations: c.conversations.size };
    useLive.setState({ caughtUp });
    announce(t("footer.caughtUp", caughtUp));
    setTimeout(() => useLive.setState({ caughtUp: undefined }), 4000);
  }

  /** Tells a screen reader of new messages in the open conversation; more than three at once are summed up (AX3). */
  private speak(m: Message): void {
    if (this.catchUp || m.interactionId !== this.focused) return;
    const name = this.find(m.interactionId)?.contactName || t("contact.unnamed");
    const text = m.payload.text ?? kind(m.payload.files?.[0]?.type ?? "unsupported");
    this.spoken.push(`${name}: ${text.slice(0, 200)}`);
    clearTimeout(this.speakTimer);
    this.speakTimer = setTimeout(() => {
      const all = this.spoken;
      this.spoken = [];
      announce(all.length > 3 ? t("announce.many", { count: all.length, name }) : all.join(". "));
    }, 300);
  }

  private apply(e: EventFrame): void {
    switch (e.type) {
      case "message.created":
      case "message.updated":
        this.onMessage(e.data as Message);
        break;
      case "message.status":
        this.onMessageStatus(e.data as StatusChange);
        break;
      case "interaction.created":
        this.putInteraction(e.data as Interaction);
        this.recount();
        break;
      case "interaction.updated":
      case "interaction.assigned":
      case "interaction.resolved":
      case "interaction.reopened":
        this.onInteractionChange(e.data as InteractionChange);
        break;
      case "consent.changed":
        this.onConsent(e.data as ConsentChange);
        break;
      case "settings.changed":
        this.onSettings(e.data as SettingsChange);
        break;
      case "channel.health": {
        const h = e.data as { channelId: string; state: "ok" | "degraded" | "down" };
        useLive.setState((s) => ({ health: { ...s.health, [h.channelId]: h } }));
        break;
      }
      case "session.ended":
        end();
        break;
    }
  }

  private onMessage(message: Message): void {
    const [m = message] = this.withEarly([message]);
    const key = keys.thread(m.interactionId);
    const thread = this.qc.getQueryData<Thread>(key);
    if (thread) {
      const next = appended(thread, m);
      if (next) this.qc.setQueryData<Thread>(key, next);
      else void this.qc.invalidateQueries({ queryKey: key });
    }
    if (m.clientId) this.settle(m.clientId);
    if (m.direction === "INBOUND") this.setTyping(m.interactionId, undefined);
    const known = this.find(m.interactionId);
    if (known) this.putInteraction(withMessage(known, m, kind));
    else void this.fetchInteraction(m.interactionId);
  }

  private onMessageStatus(c: StatusChange): void {
    const key = keys.thread(c.interactionId);
    const thread = this.qc.getQueryData<Thread>(key);
    const next = thread && withMessageStatus(thread, c);
    if (next) this.qc.setQueryData<Thread>(key, next);
    else this.early.add(c);
  }

  private onInteractionChange(c: InteractionChange): void {
    const known = this.find(c.interactionId);
    if (known) this.putInteraction(withChange(known, c));
    else void this.fetchInteraction(c.interactionId);
    if (c.owner || c.state) this.recount();
  }

  private onConsent(c: ConsentChange): void {
    this.qc.setQueryData<Contact>(
      keys.contact(c.contactId),
      (contact) =>
        contact && {
          ...contact,
          identities: contact.identities.map((i) => {
            if (i.address !== c.address || !sameFamily(i.channelType, c.channelType)) return i;
            const { optedOutAt: _, ...rest } = i;
            return c.optedOut ? { ...rest, optedOutAt: this.socket.now() } : rest;
          }),
        },
    );
  }

  private onSettings(c: SettingsChange): void {
    const key = { user: keys.users, group: keys.groups, channel: keys.channels }[c.kind as "user"];
    if (key) void this.qc.invalidateQueries({ queryKey: key });
  }

  private async fetchInteraction(id: string): Promise<void> {
    if (this.fetching.has(id)) return;
    this.fetching.add(id);
    try {
      const { topics, ...i } = await api.interaction(id);
      this.putInteraction(newest(this.find(id), i));
      this.bringUpToDate(topics);
    } catch (e) {
      // It may be one that this user must not see. Anything else shows where it is opened.
      if (!isCode(e, "not_found", "forbidden")) this.recount();
    } finally {
      this.fetching.delete(id);
    }
  }

  /** Puts an interaction wherever it is shown. */
  putInteraction(i: Interaction): void {
    const before = this.find(i.id);
    this.qc.setQueryData<Interaction>(keys.interaction(i.id), i);
    for (const [key, data] of this.qc.getQueriesData<ListData>({ queryKey: keys.lists })) {
      const filter = key[1] as ListFilter;
      if (data) this.qc.setQueryData<ListData>(key, placed(data, i, filter, this.me));
    }
    if (before) {
      this.qc.setQueryData<Counts>(keys.counts, (counts) => counts && counted(counts, before, i, this.me));
    }
  }

  /** Counts are moved at once by what is known, and read again when things are quiet, because not all is known. */
  private recount(): void {
    clearTimeout(this.countsTimer);
    this.countsTimer = setTimeout(async () => {
      try {
        const page = await api.interactions({ view: "all", state: "open" }, { limit: 1 });
        this.qc.setQueryData<Counts>(keys.counts, page.counts);
      } catch {
        // The next change or reconnect reads them again.
      }
    }, 500);
  }

  private onPassing(e: EventFrame): void {
    if (e.type !== "typing") return;
    const typing = e.data as Typing;
    if (typing.who.type === "USER" && typing.who.id === this.me) return;
    this.setTyping(typing.interactionId, typing.until > 0 ? typing : undefined);
  }

  private setTyping(id: string, typing: Typing | undefined): void {
    clearTimeout(this.typingTimers.get(id));
    this.typingTimers.delete(id);
    if (typing)
      this.typingTimers.set(
        id,
        setTimeout(() => this.setTyping(id, undefined), typingShownMs),
      );
    else if (!useLive.getState().typing[id]) return;
    useLive.setState((s) => {
      const { [id]: _, ...rest } = s.typing;
      return { typing: typing ? { ...rest, [id]: typing } : rest };
    });
  }

  // ---- Doing

  /** Joins a conversation's passing events until the returned function is called. */
  openConversation(id: string): () => void {
    this.focused = id;
    this.open.set(id, (this.open.get(id) ?? 0) + 1);
    this.socket.tell("interaction.open", { interactionId: id });
    return () => {
      if (this.focused === id) this.focused = undefined;
      const left = (this.open.get(id) ?? 1) - 1;
      if (left > 0) {
        this.open.set(id, left);
        return;
      }
      this.open.delete(id);
      this.setTyping(id, undefined);
      this.socket.tell("interaction.close_view", { interactionId: id });
    };
  }

  reportTyping(id: string, stop: boolean): void {
    this.socket.tell("typing", { interactionId: id, stop });
  }

  /** Says that an agent has seen a conversation up to a message. Repeats itself after a lost connection. */
  async reportRead(id: string, seq: number): Promise<void> {
    const known = this.find(id);
    if (known && known.agentReadSeq >= seq) {
      this.reads.delete(id);
      return;
    }
    this.reads.set(id, Math.max(seq, this.reads.get(id) ?? 0));
    try {
      await this.socket.request("message.read", { interactionId: id, seq });
      const now = this.find(id);
      const unread = this.qc
        .getQueryData<Thread>(keys.thread(id))
        ?.items.filter((m) => m.direction === "INBOUND" && m.seq > seq).length;
      if (now && now.agentReadSeq < seq) {
        this.putInteraction({ ...now, agentReadSeq: seq, unread: unread ?? 0 });
      }
    } catch (e) {
      if (e instanceof OmniError && e.temporary) return;
    }
    if (this.reads.get(id) === seq) this.reads.delete(id);
  }

  /** Claim, assign and the like. On a conflict the interaction is shown as it is, and the error tells who was first. */
  async act(run: () => Promise<Interaction>): Promise<void> {
    try {
      const i = await run();
      this.putInteraction(newest(this.find(i.id), i));
      this.recount();
    } catch (e) {
      const now = isCode(e, "conflict") ? (e.details.interaction as Interaction | undefined) : undefined;
      if (now?.id) this.putInteraction(newest(this.find(now.id), now));
      throw e;
    }
  }

  // ---- Sending

  /** Sends text and files, now or when there is a connection again (RT6, CO13). It is shown at once. */
  send(interactionId: string, text: string, files: UploadedFile[] = []): void {
    const extra = files.length > 0 ? { files } : {};
    const m: Pending = { clientId: uuidv7(), interactionId, text, at: this.socket.now(), ...extra };
    useLive.setState((s) => ({ pending: [...s.pending, m] }));
    void this.outbox
      .put({ clientId: m.clientId, userId: this.me, conversationId: interactionId, text, createdAt: m.at, ...extra })
      .then(() => {
        // It may have been sent before it was kept.
        if (!useLive.getState().pending.some((p) => p.clientId === m.clientId)) void this.outbox.remove(m.clientId);
      });
    this.flush();
  }

  retry(clientId: string): void {
    useLive.setState((s) => ({
      pending: s.pending.map(({ error, ...m }) => (m.clientId === clientId || !error ? m : { ...m, error })),
    }));
    this.flush();
  }

  /** Takes a message that was not sent out of the thread, for editing or for good. */
  discard(clientId: string): Pending | undefined {
    const m = useLive.getState().pending.find((p) => p.clientId === clientId);
    this.settle(clientId);
    return m;
  }

  private settle(clientId: string): void {
    if (!useLive.getState().pending.some((p) => p.clientId === clientId)) return;
    useLive.setState((s) => ({ pending: s.pending.filter((p) => p.clientId !== clientId) }));
    void this.outbox.remove(clientId);
  }

  private async restore(): Promise<void> {
    const kept = await this.outbox.list(this.me);
    if (kept.length === 0) return;
    useLive.setState((s) => {
      const known = new Set(s.pending.map((p) => p.clientId));
      const old = kept
        .filter((u) => !known.has(u.clientId))
        .map(({ conversationId: interactionId, createdAt: at, userId: _, replyTo: __, ...m }) => ({
          ...m,
          interactionId,
          at,
        }));
      return { pending: [...old, ...s.pending] };
    });
    this.flush();
  }

  private flush(): void {
    for (const id of new Set(useLive.getState().pending.map((p) => p.interactionId))) void this.flushOne(id);
  }

  /** Sends what waits in one conversation, in order, each after the answer to the one before. */
  private async flushOne(id: string): Promise<void> {
    if (this.sending.has(id)) return;
    this.sending.add(id);
    try {
      for (;;) {
        const m = useLive.getState().pending.find((p) => p.interactionId === id && !p.error);
        if (!m || this.socket.status.state !== "open") return;
        try {
          const data = { interactionId: id, clientId: m.clientId, payload: payloadOf(m) };
          this.onMessage(await this.socket.request<Message>("message.send", data));
          this.settle(m.clientId);
        } catch (cause) {
          const error = cause instanceof OmniError ? cause : new OmniError({ code: "internal", message: `${cause}` });
          if (error.temporary) {
            clearTimeout(this.flushTimer);
            this.flushTimer = setTimeout(() => this.flush(), Math.max(2000, error.retryAfterMs));
            return;
          }
          useLive.setState((s) => ({
            pending: s.pending.map((p) => (p.clientId === m.clientId ? { ...p, error } : p)),
          }));
        }
      }
    } finally {
      this.sending.delete(id);
    }
  }
}

function payloadOf({ text, files }: Pending) {
  if (!files) return { text };
  return { ...(text && { text }), files: files.map((f) => f.id) };
}

/** SMS and MMS are one address and one consent. */
export function sameFamily(a: string, b: string): boolean {
  const family = (c: string) => (c === "MMS" ? "SMS" : c);
  return family(a) === family(b);
}
