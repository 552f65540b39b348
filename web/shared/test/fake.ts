import { vi } from "vitest";
import { OmniSocket, type SocketOptions, type SocketStatus } from "../src/socket";
import type { EventFrame, TopicPosition, TopicState } from "../src/types";

/** A WebSocket whose other end is the test. */
export class FakeWebSocket {
  static all: FakeWebSocket[] = [];
  static last(): FakeWebSocket {
    const ws = FakeWebSocket.all.at(-1);
    if (!ws) throw new Error("no socket was made");
    return ws;
  }

  onopen: (() => void) | null = null;
  onmessage: ((m: { data: unknown }) => void) | null = null;
  onclose: ((c: { code: number; reason: string }) => void) | null = null;
  onerror: (() => void) | null = null;
  sent: { id: number; type: string; data: Record<string, unknown> }[] = [];
  closedByClient = false;
  readonly url: string;
  readonly protocol: string;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
    FakeWebSocket.all.push(this);
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.closedByClient = true;
  }

  frame(...objects: unknown[]): void {
    this.onmessage?.({ data: objects.map((o) => JSON.stringify(o)).join("\n") });
  }

  fail(code: number, reason = ""): void {
    this.onclose?.({ code, reason });
  }

  command(type: string) {
    const found = this.sent.find((c) => c.type === type);
    if (!found) throw new Error(`no ${type} was sent, only ${this.sent.map((c) => c.type).join(", ")}`);
    return found;
  }
}

export class FakeDocument extends EventTarget {
  visibilityState = "visible";
}

export function setup(options: Partial<SocketOptions> = {}, random = () => 1) {
  FakeWebSocket.all = [];
  const events: EventFrame[] = [];
  const passing: EventFrame[] = [];
  const resets: TopicState[][] = [];
  const statuses: SocketStatus[] = [];
  const missed: number[] = [];
  const window = new EventTarget();
  const document = new FakeDocument();
  const ticket = vi.fn(async () => `ticket-${ticket.mock.calls.length}`);
  const socket = new OmniSocket(
    {
      url: "ws://test/ws",
      client: "test/1",
      ticket,
      onEvent: (e) => events.push(e),
      onPassing: (e) => passing.push(e),
      onReset: (t) => resets.push(t),
      onStatus: (s) => statuses.push(s),
      onConnected: (_, n) => missed.push(n),
      ...options,
    },
    { WebSocket: FakeWebSocket as unknown as typeof WebSocket, window, document, random },
  );
  const settle = () => vi.advanceTimersByTimeAsync(0);
  return {
    socket,
    events,
    passing,
    resets,
    statuses,
    missed,
    window,
    document,
    ticket,
    settle,
    offsets: () => events.map((e) => e.offset),
    /** Lets the client connect and answers connect. */
    async accept(topics: TopicState[], more: unknown[] = [], extra: Record<string, unknown> = {}) {
      await settle();
      const ws = FakeWebSocket.last();
      ws.onopen?.();
      const c = ws.command("connect");
      const data = { connectionId: "c", serverTime: Date.now(), heartbeatMs: 25_000, topics, ...extra };
      ws.frame({ id: c.id, type: "ok", data }, ...more);
      await settle();
      return { ws, resume: c.data.resume as TopicPosition[], connect: c.data };
    },
  };
}

export const topic = (offset: number, state: TopicState["state"] = "fresh", epoch = "e", name = "group/1") => ({
  topic: name,
  epoch,
  offset,
  state,
});

export const event = (offset: number, name = "group/1", type = "message.created") => ({
  type,
  topic: name,
  offset,
  at: 1,
  data: { n: offset },
});
