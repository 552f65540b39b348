// @vitest-environment node
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Changes, follow } from "../examples/agent";
import { OmniSocket } from "../src/realtime";
import type { EventFrame } from "../src/types";
import { event, FakeWebSocket, topic } from "./fake";

const page = (next: string, more: Partial<Changes> = {}): Changes => ({
  state: "recovered",
  interactions: [],
  messages: [],
  next,
  more: false,
  ...more,
});

let answers: Changes[] = [];
let asked: string[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  FakeWebSocket.all = [];
  answers = [];
  asked = [];
  vi.stubGlobal("WebSocket", FakeWebSocket);
  vi.stubGlobal("fetch", async (url: string, init: { headers: Record<string, string> }) => {
    expect(init.headers.Authorization).toBe("Bearer token");
    const at = new URL(url);
    if (at.pathname === "/api/v1/realtime/tickets") return Response.json({ ticket: "t" });
    asked.push(at.searchParams.get("since") ?? "");
    return Response.json(answers.shift() ?? page("end"));
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

async function accept(...objects: unknown[]) {
  await settle();
  const ws = FakeWebSocket.last();
  ws.onopen?.();
  ws.frame(...objects);
  await settle();
  return ws;
}

const connected = (id: number, ...topics: unknown[]) => ({
  id,
  type: "ok",
  data: { connectionId: "c", serverTime: Date.now(), heartbeatMs: 25_000, topics },
});

test("the example of the document follows, resumes, and asks for what histories no longer hold", async () => {
  expect(globalThis).not.toHaveProperty("document");
  const events: EventFrame[] = [];
  const changes: Changes[] = [];
  let reloads = 0;
  answers = [page("one", { state: "reset" })];
  const session = { token: "token", renew: async () => true };
  const following = await follow("https://chat.example.com", session, {
    event: (e) => events.push(e),
    changed: (c) => changes.push(c),
    reload: () => reloads++,
  });
  expect(asked).toEqual([""]);
  expect(reloads).toBe(1);

  let ws = await accept(connected(1, topic(4)), event(5));
  expect(ws.url).toBe("wss://chat.example.com/ws");
  expect(ws.command("connect").data).toMatchObject({ ticket: "t", resume: [] });
  expect(events.map((e) => e.offset)).toEqual([5]);

  // A cut: it resumes where it was, and the history does not reach back.
  answers = [page("two", { messages: [{ id: "m" }], more: true }), page("three")];
  ws.fail(1006);
  ws = await accept(connected(2, topic(900, "reset")), event(901));
  expect(ws.command("connect").data.resume).toEqual([{ topic: "group/1", epoch: "e", offset: 5 }]);
  await settle();
  expect(asked).toEqual(["", "one", "two"]);
  expect(changes.flatMap((c) => c.messages)).toEqual([{ id: "m" }]);
  expect(events.map((e) => e.offset)).toEqual([5, 901]);

  const sent = following.send("i", "hello", "c1");
  await settle();
  expect(ws.command("message.send").data).toEqual({ interactionId: "i", clientId: "c1", payload: { text: "hello" } });
  ws.frame({ id: ws.command("message.send").id, type: "ok", data: { id: "m2" } });
  expect(await sent).toEqual({ id: "m2" });
  following.stop();
});

test("a program gives an API key", async () => {
  const socket = new OmniSocket({
    url: "ws://gateway/ws",
    client: "bot/1",
    credentials: async () => ({ apiKey: "omni_key" }),
    onEvent: () => undefined,
    onReset: () => undefined,
  });
  socket.start();
  const ws = await accept();
  expect(ws.command("connect").data).toMatchObject({ apiKey: "omni_key" });
  expect(ws.command("connect").data).not.toHaveProperty("ticket");
  ws.frame(connected(1));
  expect(socket.status).toEqual({ state: "open" });
  socket.close();

  const none = new OmniSocket({
    url: "ws://gateway/ws",
    client: "bot/1",
    onEvent: () => undefined,
    onReset: () => undefined,
  });
  none.start();
  await settle();
  expect(none.status).toMatchObject({ state: "stopped", reason: "session" });
});
