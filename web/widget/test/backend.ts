import { OmniError, type TopicPosition, type VisitorMessage } from "@omni/shared";
import { API } from "../src/panel/api";
import { Chat, type Link, type LinkHost } from "../src/panel/chat";
import { type Keep, memoryKeep } from "../src/panel/storage";
import type { Config } from "../src/panel/types";

/** A server of one visitor, in memory, behind the real API class and a socket that the test opens and cuts. */
export class Backend {
  config: Config | undefined = {
    publicId: "w1",
    title: "Harbour",
    greeting: "Hi there",
    accent: "#2457d6",
    online: true,
  };
  messages: VisitorMessage[] = [];
  conversation = 1;
  visitorId = "v1";
  tokens = new Set<string>();
  requests: string[] = [];
  commands: { type: string; data: Record<string, unknown> }[] = [];
  agentReadSeq = 0;
  contactReadSeq = 0;
  /** What message.send answers instead of a message. */
  refuse: OmniError | undefined;
  /** The answer to message.send gets lost, though the message was taken. */
  swallow = false;
  host: LinkHost | undefined;
  live = false;
  started = 0;

  readonly fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(String(input), "https://chat.example");
    const path = url.pathname.replace("/livechat/v1/", "");
    this.requests.push(`${init.method} ${path}${url.search}`);
    if (path.startsWith("widgets/")) {
      return this.config ? Response.json(this.config) : Response.json({ code: "not_found" }, { status: 404 });
    }
    if (path === "sessions") {
      const { token = "" } = JSON.parse(String(init.body));
      if (token && !this.tokens.has(token)) return Response.json({ code: "unauthenticated" }, { status: 401 });
      const mine = token || `token-${this.tokens.size + 1}`;
      this.tokens.add(mine);
      const lastSeq = this.messages.at(-1)?.seq ?? 0;
      return Response.json({
        visitorId: this.visitorId,
        token: mine,
        expiresAt: 0,
        ticket: "ticket",
        online: this.config?.online ?? true,
        topics: this.topics(),
        ...(lastSeq && {
          conversation: {
            state: "open",
            contactReadSeq: this.contactReadSeq,
            agentReadSeq: this.agentReadSeq,
            lastSeq,
          },
        }),
      });
    }
    const { before, after, limit } = Object.fromEntries(url.searchParams) as Record<string, string | undefined>;
    const n = Number(limit ?? 50);
    const all = this.messages.filter((m) => (!before || m.seq < +before) && (!after || m.seq > +after));
    const items = after ? all.slice(0, n) : all.slice(-n);
    return Response.json({ items, hasMore: items.length < all.length, topics: this.topics() });
  };

  topics(): TopicPosition[] {
    return [{ topic: `visitor/${this.visitorId}`, epoch: "e", offset: this.messages.length }];
  }

  readonly link = (host: LinkHost): Link => {
    this.host = host;
    return {
      start: () => {
        this.started++;
        void this.open();
      },
      stop: () => this.cut(),
      retry: () => void this.open(),
      request: async (type, data) => {
        if (!this.live) throw new OmniError({ code: "offline", message: "no connection" });
        const d = data as Record<string, unknown>;
        this.commands.push({ type, data: d });
        if (type !== "message.send") return {};
        if (this.refuse) throw this.refuse;
        const known = this.messages.find((m) => m.clientId === d.clientId);
        const m = known ?? this.add("INBOUND", (d.payload as { text: string }).text, { clientId: String(d.clientId) });
        if (this.swallow) {
          this.swallow = false;
          this.cut();
          throw new OmniError({ code: "offline", message: "the connection was lost" });
        }
        return m;
      },
    };
  };

  async open(): Promise<void> {
    this.host?.state("connecting");
    await this.host?.ticket();
    this.live = true;
    this.host?.state("live");
  }

  cut(): void {
    this.live = false;
    this.host?.state("waiting");
  }

  /** Begins a new conversation: what was said before is no longer given out. */
  begin(): void {
    this.messages = [];
    this.conversation++;
  }

  add(direction: "INBOUND" | "OUTBOUND", text: string, more: Partial<VisitorMessage> = {}): VisitorMessage {
    const seq = (this.messages.at(-1)?.seq ?? 0) + 1;
    const at = Date.UTC(2026, 2, 9, 12, 0) + seq * 1000;
    const m: VisitorMessage = {
      id: `m${this.conversation}-${seq}`,
      seq,
      direction,
      payload: { type: "text", text },
      at,
      ...more,
    };
    if (direction === "OUTBOUND") m.senderName ??= "Ana";
    this.messages.push(m);
    return m;
  }

  /** An agent writes, and the visitor's socket, if there is one, says so. */
  reply(text: string): VisitorMessage {
    const m = this.add("OUTBOUND", text);
    if (this.live) this.event("message.created", m);
    return m;
  }

  event(type: string, data: unknown, at = Date.UTC(2026, 2, 9, 14, 3)): void {
    this.host?.event(type, data, at);
  }

  sent(): unknown[] {
    return this.commands.filter((c) => c.type === "message.send").map((c) => (c.data.payload as { text: string }).text);
  }

  chat(keep: Keep = memoryKeep(), told: string[] = []): Chat {
    const api = new API("w1", this.fetch as typeof fetch);
    return new Chat({ widget: "w1", api, keep, link: this.link, tell: (e) => told.push(e) });
  }
}

export const texts = (chat: Chat) => chat.messages.value.map((m) => m.payload.text);
