import { isCode, OmniError, type TopicPosition, typingShownMs, uuidv7, type VisitorMessage } from "@omni/shared";
import { computed, signal } from "@preact/signals";
import type { ChatEvent } from "../bridge";
import type { API } from "./api";
import { Queue, type Waiting } from "./queue";
import type { Keep } from "./storage";
import type { Config, Session } from "./types";

/** How the connection is: `waiting` is between two attempts, `stopped` is for good. */
export type LinkState = "connecting" | "live" | "waiting" | "stopped";

/** What the chat needs of a socket; the real one is in link.ts. */
export interface Link {
  start(): void;
  stop(): void;
  /** Tries to connect now, also when it had given up. */
  retry(): void;
  /** Rejects with an OmniError. */
  request(type: string, data: unknown): Promise<unknown>;
}

/** What a socket needs of the chat. */
export interface LinkHost {
  /** A one-use ticket for the next attempt, and for topics not yet known where to begin. */
  ticket(): Promise<{ ticket: string; resume: TopicPosition[] }>;
  /** History no longer reaches back: read again by REST. */
  reset(): void;
  event(type: string, data: unknown, at: number): void;
  state(s: LinkState): void;
}

export interface ChatOptions {
  widget: string;
  api: API;
  keep: Keep;
  link: (host: LinkHost) => Link;
  /** Tells the host's page; never what was said. */
  tell: (e: ChatEvent) => void;
  now?: () => number;
}

const page = 50;

/** One visitor's conversation, as the panel shows it. */
export class Chat {
  readonly phase = signal<"loading" | "chat" | "error">("loading");
  readonly config = signal<Config | undefined>();
  readonly link = signal<LinkState>("connecting");
  /** Since when there is no live connection, or 0. */
  readonly offlineSince = signal(0);
  /** The conversation, ascending by seq. */
  readonly messages = signal<VisitorMessage[]>([]);
  /** Conversations that ended while this page was open; a new one counts its seq from 1 again. */
  readonly past = signal<VisitorMessage[]>([]);
  readonly waiting = signal<Waiting[]>([]);
  readonly typing = signal<string | undefined>();
  readonly seen = signal<{ seq: number; at: number }>({ seq: 0, at: 0 });
  readonly read = signal(0);
  readonly resolved = signal(false);
  readonly hasOlder = signal(false);
  readonly unread = computed(
    () => this.messages.value.filter((m) => m.direction === "OUTBOUND" && m.seq > this.read.value).length,
  );
  readonly hasConversation = computed(() => this.messages.value.length > 0 || this.waiting.value.length > 0);

  /** Called for a message that came live from the team: for announcing it. */
  onArrival: (m: VisitorMessage) => void = () => {};

  private readonly queue: Queue;
  private readonly now: () => number;
  private socket: Link | undefined;
  private visitor: string | undefined;
  private first = true;
  private stale = false; // events were lost: what is shown has to be read again
  private repairTimer: ReturnType<typeof setTimeout> | undefined;
  private sending = false;
  private reported = 0; // the read mark that the server knows
  private typingTimer: ReturnType<typeof setTimeout> | undefined;
  private sendTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly reading = new Set<string>();
  private olderRequest: Promise<void> | undefined;

  private readonly o: ChatOptions;

  constructor(o: ChatOptions) {
    this.o = o;
    this.now = o.now ?? Date.now;
    this.queue = new Queue(o.keep, o.widget, this.now);
    this.waiting.value = this.queue.all();
  }

  private get tokenKey(): string {
    return `omni.token.${this.o.widget}`;
  }

  /** Whether this visitor has been here before. */
  get known(): boolean {
    return this.o.keep.get(this.tokenKey) !== null || this.waiting.value.length > 0;
  }

  /** Reads the configuration; no session is made before connect. */
  async start(): Promise<void> {
    this.phase.value = "loading";
    try {
      this.config.value = await this.o.api.config();
      this.phase.value = "chat";
    } catch {
      this.phase.value = "error";
      this.o.tell("error");
    }
  }

  /** Makes or resumes the session and keeps a socket open from now on. Calling it again does nothing. */
  connect(): void {
    if (this.socket || this.phase.value !== "chat") return;
    this.socket = this.o.link({
      ticket: () => this.ticket(),
      reset: () => {
        this.stale = true;
        void this.repair();
      },
      event: (type, data, at) => this.event(type, data, at),
      state: (s) => this.linkState(s),
    });
    this.socket.start();
  }

  retryConnection(): void {
    this.socket?.retry();
  }

  stop(): void {
    clearTimeout(this.typingTimer);
    clearTimeout(this.sendTimer);
    clearTimeout(this.repairTimer);
    this.socket?.stop();
    this.socket = undefined;
  }

  // ---- session

  private async ticket(): Promise<{ ticket: string; resume: TopicPosition[] }> {
    const s = await this.session();
    if (!this.first) return { ticket: s.ticket, resume: [] };
    const resume = s.conversation ? await this.reload() : s.topics;
    this.first = false;
    return { ticket: s.ticket, resume };
  }

  private async session(): Promise<Session> {
    const { api, keep } = this.o;
    const token = keep.get(this.tokenKey) ?? undefined;
    let s: Session;
    try {
      api.token = undefined;
      s = await api.session(token);
    } catch (e) {
      // A token that the server no longer takes, perhaps of another installation: begin anew instead of never.
      if (!token || !isCode(e, "invalid", "unauthenticated", "forbidden", "not_found")) throw e;
      this.forget();
      s = await api.session();
    }
    // The server makes somebody new of a token that it no longer takes.
    if (this.visitor && this.visitor !== s.visitorId) this.forget();
    this.visitor = s.visitorId;
    this.setOnline(s.online);
    api.token = s.token;
    keep.set(this.tokenKey, s.token);
    if (s.conversation) {
      this.reported = s.conversation.contactReadSeq;
      this.read.value = Math.max(this.read.value, s.conversation.contactReadSeq);
      this.markSeen(s.conversation.agentReadSeq, 0);
      this.resolved.value = s.conversation.state === "resolved";
    }
    return s;
  }

  private forget(): void {
    this.o.keep.remove(this.tokenKey);
    this.o.api.token = undefined;
    this.newConversation();
    this.past.value = [];
    this.first = true;
  }

  // ---- reading

  /** Fetches what is new since the last message we know, or the newest page. */
  private async reload(): Promise<TopicPosition[]> {
    const { api } = this.o;
    const last = this.messages.value.at(-1);
    if (last) {
      // Another message in its place: what we know is of a conversation that ended.
      const there = await api.messages({ before: last.seq + 1, limit: 1 });
      if (there.items[0]?.id === last.id) return this.readAfter(last.seq);
    }
    const p = await api.messages({ limit: page });
    if (last) this.newConversation();
    this.hasOlder.value = p.hasMore;
    this.insert(p.items, last !== undefined);
    return p.topics;
  }

  private async readAfter(seq: number): Promise<TopicPosition[]> {
    for (let after = seq; ; ) {
      const p = await this.o.api.messages({ after, limit: page });
      this.insert(p.items, true);
      const last = p.items.at(-1);
      if (!p.hasMore || !last) return p.topics;
      after = last.seq;
    }
  }

  private newConversation(): void {
    this.past.value = [...this.past.value, ...this.messages.value];
    this.messages.value = [];
    this.hasOlder.value = this.resolved.value = false;
    this.seen.value = { seq: 0, at: 0 };
    this.read.value = this.reported = 0;
  }

  /** Reads again what a lost history may have held, until it works. */
  private async repair(): Promise<void> {
    clearTimeout(this.repairTimer);
    if (!this.stale || this.link.value !== "live") return;
    try {
      await this.reload();
      this.stale = false;
    } catch {
      this.repairTimer = setTimeout(() => void this.repair(), 3000);
    }
  }

  /** Loads the page above. Several calls at once are one. */
  loadOlder(): Promise<void> {
    const oldest = this.messages.value[0];
    if (!oldest || !this.hasOlder.value) return Promise.resolve();
    this.olderRequest ??= this.o.api
      .messages({ before: oldest.seq, limit: page })
      .then((p) => {
        this.hasOlder.value = p.hasMore;
        this.insert(p.items);
      })
      .catch(() => {}) // the way to the top is tried again by scrolling there again
      .finally(() => {
        this.olderRequest = undefined;
      });
    return this.olderRequest;
  }

  /** Adds messages in order of seq, each once, whichever way and however often they come. */
  private insert(items: VisitorMessage[], live = false): void {
    if (items.some((m) => this.isForeign(m))) this.newConversation();
    const bySeq = new Map(this.messages.value.map((m) => [m.seq, m]));
    const fresh = items.filter((m) => !bySeq.has(m.seq));
    for (const m of items) {
      bySeq.set(m.seq, m);
      if (m.clientId) this.queue.remove(m.clientId);
    }
    this.messages.value = [...bySeq.values()].sort((a, b) => a.seq - b.seq);
    this.waiting.value = this.queue.all();
    if (!live) return;
    for (const m of fresh) {
      if (m.direction !== "OUTBOUND") continue;
      this.onArrival(m);
      this.o.tell("message");
    }
  }

  /** A message whose place another one has, or a first one where the first was long ago. */
  private isForeign(m: VisitorMessage): boolean {
    const known = this.messages.value;
    const there = known.find((k) => k.seq === m.seq);
    return there ? there.id !== m.id : m.seq === 1 && this.hasOlder.value && known.length > 0;
  }

  private event(type: string, data: unknown, at: number): void {
    const d = (data ?? {}) as Record<string, unknown>;
    if (type === "message.created") {
      const m = d as unknown as VisitorMessage;
      if (m.direction === "OUTBOUND") this.setTyping(undefined, 0);
      this.insert([m], true);
    } else if (type === "message.updated") {
      this.insert([d as unknown as VisitorMessage]);
    } else if (type.startsWith("interaction.")) {
      if (typeof d.agentReadSeq === "number") this.markSeen(d.agentReadSeq, at);
      if (typeof d.contactReadSeq === "number") {
        // Read in another tab of this visitor.
        this.reported = Math.max(this.reported, d.contactReadSeq);
        this.read.value = Math.max(this.read.value, d.contactReadSeq);
      }
      if (type === "interaction.resolved") this.resolved.value = true;
      if (type === "interaction.reopened" || type === "interaction.created") this.resolved.value = false;
    } else if (type === "availability") {
      this.setOnline(d.online === true);
    } else if (type === "typing") {
      const who = d.who as { type?: string; name?: string } | undefined;
      if (who?.type === "USER") this.setTyping(who.name || "The team", Number(d.until));
    }
  }

  /** Whether somebody of the team is there. */
  private setOnline(online: boolean): void {
    const c = this.config.value;
    if (c && c.online !== online) this.config.value = { ...c, online };
  }

  private markSeen(seq: number, at: number): void {
    if (seq > this.seen.value.seq) this.seen.value = { seq, at };
  }

  private setTyping(name: string | undefined, until: number): void {
    clearTimeout(this.typingTimer);
    this.typing.value = until ? name : undefined;
    // Our own clock counts: the server's moment may lie in our past or far away.
    if (until) this.typingTimer = setTimeout(() => this.setTyping(undefined, 0), typingShownMs);
  }

  /** Says that the visitor has seen everything that is loaded. */
  markRead(): void {
    const last = this.messages.value.findLast((m) => m.direction === "OUTBOUND")?.seq ?? 0;
    if (last > this.read.value) this.read.value = last;
    if (last <= this.reported || this.link.value !== "live") return;
    const before = this.reported;
    this.reported = last;
    this.socket?.request("message.read", { seq: last }).catch(() => {
      this.reported = Math.min(this.reported, before);
    });
  }

  /** Reads a message again for links to its files, which events do not carry and which end after some minutes. */
  async readFiles(seq: number, id: string): Promise<void> {
    if (this.reading.has(id)) return;
    this.reading.add(id);
    try {
      const { items } = await this.o.api.messages({ after: seq - 1, limit: 1 });
      if (items[0]?.id === id) this.insert(items);
    } catch {
      // It is tried again by whoever wants to see the file.
    } finally {
      this.reading.delete(id);
    }
  }

  // ---- writing

  /** Puts text in the queue, shows it, and sends it as soon as there is a connection. */
  send(text: string): void {
    const clean = text.trim();
    if (!clean) return;
    this.queue.put({ clientId: uuidv7(), text: clean, at: this.now() });
    this.waiting.value = this.queue.all();
    void this.flush();
  }

  retry(clientId: string): void {
    const w = this.waiting.value.find((x) => x.clientId === clientId);
    if (!w) return;
    this.queue.put({ clientId, text: w.text, at: w.at });
    this.waiting.value = this.queue.all();
    void this.flush();
  }

  discard(clientId: string): void {
    this.queue.remove(clientId);
    this.waiting.value = this.queue.all();
  }

  /** Another tab changed the queue. */
  refreshQueue(): void {
    this.waiting.value = this.queue.all();
    void this.flush();
  }

  sendTyping(stop: boolean): void {
    if (this.link.value === "live") this.socket?.request("typing", stop ? { stop } : {}).catch(() => {});
  }

  /** Sends what waits, one after the other, so that the order is the visitor's. */
  private async flush(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.sendTimer);
    try {
      for (;;) {
        const next = this.queue.all().find((w) => !w.failed);
        if (!next || !this.socket || this.link.value !== "live") return;
        const wait = await this.sendOne(next);
        if (wait !== undefined) {
          this.sendTimer = setTimeout(() => void this.flush(), wait);
          return;
        }
      }
    } finally {
      this.sending = false;
    }
  }

  /** Sends w. Returns after how many milliseconds to try again, if it has to wait. */
  private async sendOne(w: Waiting): Promise<number | undefined> {
    try {
      const m = await this.socket?.request("message.send", { clientId: w.clientId, payload: { text: w.text } });
      this.queue.remove(w.clientId);
      this.insert([m as VisitorMessage]);
      this.resolved.value = false;
      this.o.tell("sent");
      return undefined;
    } catch (e) {
      // No answer: it may have arrived. The same client id again makes no second message.
      // A session that ended is renewed with the connection; who lost a race to another message tries again.
      const known = e instanceof OmniError ? e : undefined;
      if (!known || known.temporary || known.code === "unauthenticated" || known.code === "conflict")
        return known?.retryAfterMs || 3000;
      this.queue.put({ ...w, failed: known.message || "The message was not accepted." });
      this.waiting.value = this.queue.all();
      this.o.tell("error");
      return undefined;
    }
  }

  private linkState(s: LinkState): void {
    this.link.value = s;
    if (s === "live") {
      this.offlineSince.value = 0;
      void this.repair();
      void this.flush();
      return;
    }
    this.offlineSince.value ||= this.now();
    this.setTyping(undefined, 0);
  }
}
