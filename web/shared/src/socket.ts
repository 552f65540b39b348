import { isCode, OmniError } from "./error";
import type {
  Connected,
  EventFrame,
  HeartbeatData,
  Millis,
  ReplyFrame,
  TopicPosition,
  TopicState,
  WireError,
} from "./types";

export const subprotocol = "omni.v1";

/** Why a socket will not connect again by itself. */
export type StopReason =
  | "closed" // close() was called
  | "session" // the session is over: log in again
  | "removed" // 4403: removed from the organisation, or blocked
  | "policy" // 1008: too many connections or messages
  | "protocol"; // 1002, 1007, 1009, 4500 and up: this program and the server do not understand each other

export type SocketStatus =
  | { state: "idle" }
  | { state: "connecting"; attempt: number }
  | { state: "open" }
  | { state: "waiting"; attempt: number; retryAt: Millis }
  | { state: "stopped"; reason: StopReason; code: number; text: string };

/** Says to whom a connection belongs. */
export type Credentials = { ticket: string } | { token: string } | { apiKey: string };

export interface SocketOptions {
  /** ws: or wss: URL. */
  url: string;
  /** Program and version, for the server's log. */
  client: string;
  /** Fetches a one-use ticket, as pages do. An OmniError `unauthenticated` ends the session, any other error is tried again. */
  ticket?(): Promise<string>;
  /** Instead of ticket: what else connect takes. Programs, which send no Origin, give a token or an API key. */
  credentials?(): Promise<Credentials>;
  /** Renews the session after 4401; false ends it. Without it 4401 only asks for a new ticket, once. */
  refresh?(): Promise<boolean>;
  /** Gives a token that extends the connection before the one it was made with ends. Without it the server closes. */
  token?(): Promise<string>;
  /** Durable events: in order per topic, each once. */
  onEvent(e: EventFrame): void;
  /** Passing events such as typing. */
  onPassing?(e: EventFrame): void;
  /** History does not reach back for these topics: read the open views again by REST. */
  onReset(topics: TopicState[]): void;
  onStatus?(s: SocketStatus): void;
  /** After each connect. `missed` tells how many durable events the server announced since the last connection. */
  onConnected?(c: Connected, missed: number): void;
}

/** What of the platform is used, so that tests can put theirs in place. */
export interface SocketPlatform {
  WebSocket: new (url: string, protocols?: string | string[]) => WebSocket;
  now(): number;
  random(): number;
  /** Dispatches online and offline; absent outside of browsers. */
  window?: EventTarget | undefined;
  document?: (EventTarget & { visibilityState: string }) | undefined;
}

/** A page has both, a worker and a server have neither: they are looked for, not expected. */
type Page = Pick<SocketPlatform, "window" | "document">;

const browser = (): SocketPlatform => ({
  WebSocket: globalThis.WebSocket,
  now: () => Date.now(),
  random: () => Math.random(),
  window: (globalThis as Page).window,
  document: (globalThis as Page).document,
});

export const livenessMs = 40_000;
export const connectTimeoutMs = 10_000;
export const firstDelayMs = 500;
export const maxDelayMs = 20_000;
/** How far an event may come after the heartbeat that told its offset, before that counts as lost. */
export const heartbeatGraceMs = 2000;
/** A connection has to live this long before delays start from the beginning again. */
export const stableMs = 5000;
/** How many commands go out at once, and how often one more: less than what the server closes a connection for. */
export const commandBurst = 30;
export const commandEveryMs = 60;
const keptEvents = 1000;
/** setTimeout takes no more than 31 bits. */
const longestTimer = 2 ** 31 - 1;

type Timer = ReturnType<typeof setTimeout>;

interface Pending {
  resolve(data: unknown): void;
  reject(e: OmniError): void;
  timer: Timer;
}

interface Link {
  ws: WebSocket;
  /** connect was answered ok. */
  ready: boolean;
  openedAt: number;
  /** When the next command could go out if none had been saved up. */
  nextAt: number;
}

/**
 * A client of the protocol `omni.v1`, as both web programs use it: it keeps one connection alive, resumes after each
 * loss, and hands on every durable event once and in order. It knows nothing of what the events mean.
 */
export class OmniSocket {
  private readonly o: SocketOptions;
  private readonly p: SocketPlatform;
  private readonly topics = new Map<string, { epoch: string; offset: number }>();
  private readonly recent: EventFrame[] = [];
  private readonly pending = new Map<number, Pending>();
  private status_: SocketStatus = { state: "idle" };
  private link: Link | undefined;
  private generation = 0;
  private nextId = 1;
  private attempt = 0;
  private authFailed = false;
  private connectedBefore = false;
  private lastByteAt = 0;
  private skew = 0;
  private retryTimer: Timer | undefined;
  private liveTimer: Timer | undefined;
  private repairTimer: Timer | undefined;
  private refreshTimer: Timer | undefined;

  constructor(options: SocketOptions, platform: Partial<SocketPlatform> = {}) {
    this.o = options;
    this.p = { ...browser(), ...platform };
  }

  get status(): SocketStatus {
    return this.status_;
  }

  /** When the server was last heard from, by this machine's clock; 0: never. */
  get lastHeardAt(): Millis {
    return this.lastByteAt;
  }

  /** The server's clock (RT11). */
  now(): Millis {
    return this.p.now() + this.skew;
  }

  positions(): TopicPosition[] {
    return Array.from(this.topics, ([topic, p]) => ({ topic, ...p }));
  }

  /**
   * Takes the positions that a REST answer is true for. Known topics are not moved. Call it with the first lists,
   * before start, so that what happened since is resumed (RT1).
   */
  learn(positions: readonly TopicPosition[]): void {
    for (const { topic, epoch, offset } of positions) {
      if (!this.topics.has(topic)) this.topics.set(topic, { epoch, offset });
    }
  }

  /**
   * Gives the events that a REST answer true for `positions` does not yet hold, in the order they came, so that an
   * answer overtaken by events can be brought up to date. Undefined: they are no longer kept; ask again.
   */
  since(positions: readonly TopicPosition[]): EventFrame[] | undefined {
    const from = new Map(positions.map((p) => [p.topic, p]));
    for (const { topic, epoch, offset } of positions) {
      const known = this.topics.get(topic);
      if (!known || known.epoch !== epoch || known.offset <= offset) continue;
      const oldest = this.recent.find((e) => e.topic === topic)?.offset;
      if (oldest === undefined || oldest > offset + 1) return undefined;
    }
    return this.recent.filter((e) => {
      const p = from.get(e.topic ?? "");
      return p !== undefined && this.topics.get(p.topic)?.epoch === p.epoch && (e.offset ?? 0) > p.offset;
    });
  }

  start(): void {
    if (this.status_.state !== "idle" && this.status_.state !== "stopped") return;
    this.p.window?.addEventListener("online", this.onOnline);
    this.p.window?.addEventListener("offline", this.onOffline);
    this.p.document?.addEventListener("visibilitychange", this.onVisible);
    this.attempt = 0;
    this.authFailed = false;
    void this.connect();
  }

  close(): void {
    this.stop("closed", 1000, "");
  }

  /** Connects at once if it is waiting to; proves an open connection otherwise. */
  retryNow(): void {
    if (this.status_.state === "waiting") {
      clearTimeout(this.retryTimer);
      void this.connect();
    } else if (this.status_.state === "open" && this.p.now() - this.lastByteAt >= livenessMs) {
      this.lost("silent");
    }
  }

  /** Sends a command and waits for its answer. Rejects with an OmniError; `offline` if there is no connection. */
  request<T>(type: string, data: unknown = {}, options: { timeoutMs?: number } = {}): Promise<T> {
    const link = this.link;
    if (!link?.ready) return Promise.reject(new OmniError({ code: "offline", message: "There is no connection." }));
    return this.ask<T>(link, type, data, options.timeoutMs ?? 10_000);
  }

  /** Sends a command whose answer nobody needs, such as typing. Without a connection it does nothing. */
  tell(type: string, data: unknown): void {
    this.request(type, data).catch(() => undefined);
  }

  private ask<T>(link: Link, type: string, data: unknown, timeoutMs: number): Promise<T> {
    const id = this.nextId++;
    const wait = this.reserve(link);
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.pending.delete(id);
        reject(new OmniError({ code: "timeout", message: "The server did not answer in time." }));
      }, timeoutMs + wait);
      this.pending.set(id, { resolve: (d) => resolve(d as T), reject, timer });
      const frame = JSON.stringify({ id, type, data });
      if (wait === 0) link.ws.send(frame);
      // A link that was lost meanwhile has rejected what waited on it.
      else setTimeout(() => this.link === link && link.ws.send(frame), wait);
    });
  }

  /** Tells after how many milliseconds a command may go out, and counts it. Later ones wait longer: the order stays. */
  private reserve(link: Link): Millis {
    const now = this.p.now();
    const wait = Math.max(0, link.nextAt - now);
    link.nextAt = Math.max(link.nextAt, now - (commandBurst - 1) * commandEveryMs) + commandEveryMs;
    return wait;
  }

  private async connect(): Promise<void> {
    const generation = ++this.generation;
    const current = () => generation === this.generation;
    clearTimeout(this.retryTimer);
    this.setStatus({ state: "connecting", attempt: this.attempt });
    // Covers ticket, handshake and the answer to connect together.
    const timer = setTimeout(() => {
      if (current()) this.lost("no answer to connect");
    }, connectTimeoutMs);
    this.liveTimer = timer;

    let credentials: Credentials;
    try {
      credentials = await this.credentials();
    } catch (e) {
      if (!current()) return;
      clearTimeout(timer);
      if (isCode(e, "unauthenticated")) this.stop("session", 4401, e.message);
      else if (isCode(e, "forbidden")) this.stop("removed", 4403, e.message);
      else this.again(isCode(e, "rate_limited", "unavailable") ? e.retryAfterMs : 0);
      return;
    }
    if (!current()) return;

    const ws = new this.p.WebSocket(this.o.url, subprotocol);
    const link: Link = { ws, ready: false, openedAt: 0, nextAt: 0 };
    this.link = link;
    ws.onopen = () => {
      if (this.link !== link) return;
      // The answer is handled where it is read: the events that follow may stand in the same frame.
      const resume = this.positions();
      const id = this.nextId++;
      this.pending.set(id, {
        resolve: (c) => this.connected(link, c as Connected),
        reject: (e) => this.refused(e),
        timer,
      });
      ws.send(JSON.stringify({ id, type: "connect", data: { ...credentials, client: this.o.client, resume } }));
    };
    ws.onmessage = (m: MessageEvent) => {
      if (this.link === link && typeof m.data === "string") this.receive(link, m.data);
    };
    ws.onclose = (c: { code: number; reason: string }) => {
      if (this.link === link) this.onClose(c.code, c.reason);
    };
    ws.onerror = () => {
      // A close event always follows and says all there is to know.
    };
  }

  private async credentials(): Promise<Credentials> {
    if (this.o.credentials) return this.o.credentials();
    if (this.o.ticket) return { ticket: await this.o.ticket() };
    throw new OmniError({ code: "unauthenticated", message: "Neither ticket nor credentials were given." });
  }

  private connected(link: Link, c: Connected): void {
    link.ready = true;
    link.openedAt = this.p.now();
    this.authFailed = false;
    this.skew = c.serverTime - this.p.now();
    const reset: TopicState[] = [];
    const granted = new Set<string>();
    let missed = 0;
    for (const t of c.topics) {
      granted.add(t.topic);
      const known = this.topics.get(t.topic);
      if (t.state === "recovered" && known) {
        missed += Math.max(0, t.offset - known.offset);
        known.epoch = t.epoch;
        continue;
      }
      this.topics.set(t.topic, { epoch: t.epoch, offset: t.offset });
      // A topic granted since the last connection may hold what the open views do not.
      if (t.state === "reset" || (this.connectedBefore && !known)) reset.push(t);
    }
    for (const topic of this.topics.keys()) if (!granted.has(topic)) this.topics.delete(topic);
    this.connectedBefore = true;
    this.heard();
    this.planRefresh(c.expiresAt);
    this.setStatus({ state: "open" });
    this.o.onConnected?.(c, missed);
    if (reset.length > 0) {
      this.recent.length = 0;
      this.o.onReset(reset);
    }
  }

  private refused(e: OmniError): void {
    // Closed while waiting for the answer: onClose has seen to it.
    if (e.code === "offline") return;
    if (e.code === "unauthenticated") this.onClose(4401, e.message);
    else if (e.code === "forbidden") this.onClose(4403, e.message);
    else if (e.code === "invalid" || e.code === "unsupported") this.stop("protocol", 1002, e.message);
    else {
      this.drop();
      this.again(e.retryAfterMs);
    }
  }

  private receive(link: Link, text: string): void {
    this.heard();
    for (const line of text.split("\n")) {
      if (line === "") continue;
      // A gap in an earlier line ends this connection; what follows comes again after the next connect.
      if (this.link !== link) return;
      let frame: unknown;
      try {
        frame = JSON.parse(line);
      } catch {
        this.stop("protocol", 1007, "A frame was not JSON.");
        return;
      }
      if (typeof frame !== "object" || frame === null) continue;
      if ("id" in frame) this.reply(frame as ReplyFrame);
      else this.event(frame as EventFrame);
    }
  }

  private reply(r: ReplyFrame): void {
    const p = this.pending.get(r.id);
    if (!p) return;
    this.pending.delete(r.id);
    clearTimeout(p.timer);
    if (r.type === "ok") p.resolve(r.data);
    else p.reject(new OmniError(r.error ?? ({ code: "internal", message: "" } satisfies WireError)));
  }

  private event(e: EventFrame): void {
    if (e.type === "heartbeat") {
      this.heartbeat(e.data as HeartbeatData);
      return;
    }
    if (!e.topic || !e.offset) {
      this.o.onPassing?.(e);
      return;
    }
    const known = this.topics.get(e.topic);
    if (known) {
      if (e.offset <= known.offset) return;
      if (e.offset > known.offset + 1) {
        this.lost("gap");
        return;
      }
      known.offset = e.offset;
    } else {
      // Granted while connected. Its epoch comes with the next connect, which therefore resets it.
      this.topics.set(e.topic, { epoch: "", offset: e.offset });
    }
    this.recent.push(e);
    if (this.recent.length > keptEvents) this.recent.shift();
    this.o.onEvent(e);
  }

  private heartbeat(h: HeartbeatData): void {
    for (const [topic, epoch] of Object.entries(h.epochs ?? {})) {
      const known = this.topics.get(topic);
      if (known && known.epoch !== "" && known.epoch !== epoch) {
        this.lost("epoch changed");
        return;
      }
    }
    const behind = () =>
      Object.entries(h.offsets ?? {}).some(([topic, offset]) => (this.topics.get(topic)?.offset ?? offset) < offset);
    clearTimeout(this.repairTimer);
    if (!behind()) return;
    // An event may be on its way behind the heartbeat.
    this.repairTimer = setTimeout(() => {
      if (behind()) this.lost("behind the heartbeat");
    }, heartbeatGraceMs);
  }

  private heard(): void {
    this.lastByteAt = this.p.now();
    if (!this.link?.ready) return;
    clearTimeout(this.liveTimer);
    this.liveTimer = setTimeout(() => this.lost("silent"), livenessMs);
  }

  private planRefresh(expiresAt: Millis | undefined): void {
    clearTimeout(this.refreshTimer);
    const token = this.o.token;
    if (!expiresAt || !token) return;
    const left = expiresAt - this.now();
    // Early enough for a slow answer, and not so early that a short token is renewed without end.
    const delay = Math.max(1000, left - Math.min(60_000, left / 2));
    this.refreshTimer = setTimeout(
      async () => {
        try {
          const r = await this.request<{ expiresAt: Millis }>("auth.refresh", { token: await token() });
          this.planRefresh(r.expiresAt);
        } catch {
          // The server closes with 4401 when the old token ends, and that path renews the session or gives up.
        }
      },
      Math.min(delay, longestTimer),
    );
  }

  private onClose(code: number, reason: string): void {
    this.drop();
    if (code === 4401) {
      void this.renew(reason);
      return;
    }
    const stop = stopOf(code);
    if (stop) {
      this.stop(stop, code, reason);
      return;
    }
    const retry = code === 1001 || code === 1012 ? /retry=(\d{1,7})/.exec(reason)?.[1] : undefined;
    this.again(0, retry === undefined ? undefined : this.p.random() * Number(retry));
  }

  private async renew(reason: string): Promise<void> {
    const generation = ++this.generation;
    if (this.authFailed) {
      this.stop("session", 4401, reason);
      return;
    }
    this.authFailed = true;
    this.setStatus({ state: "connecting", attempt: this.attempt });
    let ok = true;
    try {
      ok = (await this.o.refresh?.()) ?? true;
    } catch {
      // Not an answer about the session: asking for a ticket will find out.
    }
    if (generation !== this.generation) return;
    if (ok) this.again(0);
    else this.stop("session", 4401, reason);
  }

  /** The connection is of no more use: a gap, or silence. */
  private lost(why: string): void {
    this.drop(why);
    this.again(0);
  }

  /** Plans the next try: the first at once, then after 0.5 s doubling to 20 s with full jitter (RT4). */
  private again(atLeastMs: number, exactMs?: number): void {
    let delay = exactMs;
    if (delay === undefined) {
      const top = this.attempt === 0 ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** (this.attempt - 1));
      delay = Math.max(this.p.random() * top, atLeastMs);
    }
    this.attempt++;
    this.setStatus({ state: "waiting", attempt: this.attempt, retryAt: this.p.now() + delay });
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => void this.connect(), Math.min(delay, longestTimer));
  }

  private stop(reason: StopReason, code: number, text: string): void {
    this.generation++;
    this.drop();
    clearTimeout(this.retryTimer);
    this.p.window?.removeEventListener("online", this.onOnline);
    this.p.window?.removeEventListener("offline", this.onOffline);
    this.p.document?.removeEventListener("visibilitychange", this.onVisible);
    this.setStatus({ state: "stopped", reason, code, text });
  }

  /** Lets go of the connection, if there is one, and of all that waits for answers on it. */
  private drop(why = ""): void {
    this.generation++;
    clearTimeout(this.liveTimer);
    clearTimeout(this.repairTimer);
    clearTimeout(this.refreshTimer);
    const link = this.link;
    this.link = undefined;
    if (link) {
      if (link.ready && this.p.now() - link.openedAt >= stableMs) this.attempt = 0;
      link.ws.onopen = link.ws.onmessage = link.ws.onclose = link.ws.onerror = null;
      link.ws.close(1000, why);
    }
    for (const [id, p] of this.pending) {
      clearTimeout(p.timer);
      this.pending.delete(id);
      p.reject(new OmniError({ code: "offline", message: "The connection was lost." }));
    }
  }

  private setStatus(s: SocketStatus): void {
    this.status_ = s;
    this.o.onStatus?.(s);
  }

  private readonly onOnline = (): void => {
    this.attempt = 0;
    this.retryNow();
  };

  private readonly onOffline = (): void => {
    if (this.link) this.lost("offline");
  };

  private readonly onVisible = (): void => {
    if (this.p.document?.visibilityState === "visible") this.retryNow();
  };
}

/** Why a close code ends it, or undefined if the client is to connect again. */
export function stopOf(code: number): StopReason | undefined {
  switch (code) {
    case 1002:
    case 1007:
    case 1009:
      return "protocol";
    case 1008:
      return "policy";
    case 4403:
      return "removed";
    default:
      return code >= 4500 && code <= 4999 ? "protocol" : undefined;
  }
}
