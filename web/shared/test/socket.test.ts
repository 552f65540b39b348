import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OmniError } from "../src/error";
import { commandBurst, commandEveryMs, heartbeatGraceMs, livenessMs, type StopReason, stopOf } from "../src/socket";
import { event, FakeWebSocket, setup, topic } from "./fake";

beforeEach(() => {
  vi.useFakeTimers({ now: 1_700_000_000_000 });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("connecting", () => {
  it("RT1 connects with a ticket in the first frame and resumes from what REST told", async () => {
    const t = setup();
    t.socket.learn([{ topic: "group/1", epoch: "e", offset: 40 }]);
    t.socket.start();
    const { ws, connect } = await t.accept([topic(42, "recovered")], [event(41), event(42)]);
    expect(ws.url).toBe("ws://test/ws");
    expect(ws.protocol).toBe("omni.v1");
    expect(connect).toEqual({
      ticket: "ticket-1",
      client: "test/1",
      resume: [{ topic: "group/1", epoch: "e", offset: 40 }],
    });
    expect(t.offsets()).toEqual([41, 42]);
    expect(t.missed).toEqual([2]);
    expect(t.socket.status).toEqual({ state: "open" });
  });

  it("RT1 asks for a new ticket for each connection", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(1)]);
    ws.fail(1006);
    await vi.advanceTimersByTimeAsync(1);
    const again = await t.accept([topic(1, "recovered")]);
    expect(again.connect.ticket).toBe("ticket-2");
  });

  it("RT4 gives up a connect that is not answered within 10 s", async () => {
    const t = setup();
    t.socket.start();
    await t.settle();
    FakeWebSocket.last().onopen?.();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(FakeWebSocket.all[0]?.closedByClient).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    expect(FakeWebSocket.all).toHaveLength(2);
  });

  it("RT1 ends the session when there is no ticket for it", async () => {
    const t = setup({
      ticket: () => Promise.reject(new OmniError({ code: "unauthenticated", message: "log in" })),
    });
    t.socket.start();
    await t.settle();
    expect(t.socket.status).toMatchObject({ state: "stopped", reason: "session" });
    expect(FakeWebSocket.all).toHaveLength(0);
  });

  it("RT4 waits as long as a busy server says before asking for a ticket again", async () => {
    const ticket = vi.fn().mockRejectedValue(new OmniError({ code: "rate_limited", message: "", retryAfterMs: 7000 }));
    const t = setup({ ticket });
    t.socket.start();
    await vi.advanceTimersByTimeAsync(6999);
    expect(ticket).toHaveBeenCalledTimes(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(ticket).toHaveBeenCalledTimes(2);
  });
});

describe("commands", () => {
  it("go out no faster than the server takes them, in order, and each is answered", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(1)]);
    const all = Array.from({ length: commandBurst + 3 }, (_, n) => t.socket.request("message.send", { n }));
    const sent = () => ws.sent.filter((c) => c.type === "message.send").map((c) => c.data.n);
    expect(sent()).toEqual(Array.from({ length: commandBurst }, (_, n) => n));
    await vi.advanceTimersByTimeAsync(commandEveryMs);
    expect(sent()).toHaveLength(commandBurst + 1);
    await vi.advanceTimersByTimeAsync(2 * commandEveryMs);
    expect(sent()).toEqual(all.map((_, n) => n));
    for (const c of ws.sent) ws.frame({ id: c.id, type: "ok", data: c.data.n });
    expect(await Promise.all(all)).toEqual(all.map((_, n) => n));
    // What was not used is saved up again, and no more than that.
    await vi.advanceTimersByTimeAsync(10_000);
    for (let n = 0; n <= commandBurst; n++) t.socket.tell("typing", {});
    expect(ws.sent.filter((c) => c.type === "typing")).toHaveLength(commandBurst);
  });

  it("that wait their turn are lost with the connection, and the caller is told", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(1)]);
    for (let n = 0; n < commandBurst; n++) t.socket.tell("typing", {});
    const late = t.socket.request("message.send", {});
    const told = expect(late).rejects.toMatchObject({ code: "offline" });
    ws.fail(1006);
    await told;
    const again = await t.accept([topic(1, "recovered")]);
    await vi.advanceTimersByTimeAsync(commandEveryMs);
    expect([...ws.sent, ...again.ws.sent].filter((c) => c.type === "message.send")).toEqual([]);
  });
});

describe("order", () => {
  it("RT2 ignores repeated and old offsets", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame(event(6));
    ws.frame(event(6), event(4), event(7));
    expect(t.offsets()).toEqual([6, 7]);
  });

  it("RT2 stops applying at a gap, reconnects and resumes from the last one applied", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame(event(6), event(8), event(9));
    expect(t.offsets()).toEqual([6]);
    expect(ws.closedByClient).toBe(true);
    await vi.advanceTimersByTimeAsync(1);
    const again = await t.accept([topic(9, "recovered")], [event(7), event(8), event(9)]);
    expect(again.resume).toEqual([{ topic: "group/1", epoch: "e", offset: 6 }]);
    expect(t.offsets()).toEqual([6, 7, 8, 9]);
  });

  it("RT2 reports a reset, takes its position and goes on from there", async () => {
    const t = setup();
    t.socket.learn([{ topic: "group/1", epoch: "old", offset: 900 }]);
    t.socket.start();
    const { ws } = await t.accept([topic(3, "reset", "new")], [event(4)]);
    expect(t.resets).toEqual([[topic(3, "reset", "new")]]);
    ws.frame(event(5));
    expect(t.offsets()).toEqual([4, 5]);
    expect(t.socket.positions()).toEqual([{ topic: "group/1", epoch: "new", offset: 5 }]);
  });

  it("RT2 treats a topic granted between two connections as a reset", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(1)]);
    ws.fail(1006);
    await vi.advanceTimersByTimeAsync(1);
    await t.accept([topic(1, "recovered"), topic(70, "fresh", "e", "group/2")]);
    expect(t.resets).toEqual([[topic(70, "fresh", "e", "group/2")]]);
  });

  it("RT2 forgets topics that are no longer granted", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(1), topic(1, "fresh", "e", "group/2")]);
    ws.fail(1006);
    await vi.advanceTimersByTimeAsync(1);
    await t.accept([topic(1, "recovered")]);
    expect(t.socket.positions().map((p) => p.topic)).toEqual(["group/1"]);
  });

  it("RT2 gives back events that a REST answer does not hold yet", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame(event(6), event(7), event(8));
    const at = (offset: number, epoch = "e") => [{ topic: "group/1", epoch, offset }];
    expect(t.socket.since(at(6))?.map((e) => e.offset)).toEqual([7, 8]);
    expect(t.socket.since(at(8))).toEqual([]);
    expect(t.socket.since(at(20))).toEqual([]);
    expect(t.socket.since(at(4)), "event 5 came before we were there").toBeUndefined();
    expect(t.socket.since(at(6, "other"))).toEqual([]);
  });

  it("splits joined frames at the newline and survives unknown types", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.frame(event(1, "group/1", "sky.fell"), { type: "typing", topic: "interaction/1", at: 1, data: {} }, event(2));
    expect(t.offsets()).toEqual([1, 2]);
    expect(t.passing.map((e) => e.type)).toEqual(["typing"]);
  });

  it("stops on a frame that is not JSON", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.onmessage?.({ data: "{oops" });
    expect(t.socket.status).toMatchObject({ state: "stopped", reason: "protocol" });
  });
});

describe("reconnecting", () => {
  it("RT4 tries at once, then after 0.5 s doubling to 20 s", async () => {
    const t = setup({ ticket: () => Promise.reject(new TypeError("network")) });
    t.socket.start();
    await vi.advanceTimersByTimeAsync(120_000);
    const delays = t.statuses.flatMap((s, i) => {
      const before = t.statuses[i - 1];
      return s.state === "waiting" && before ? [s.retryAt] : [];
    });
    const gaps = delays.slice(1, 10).map((at, i) => at - (delays[i] ?? 0));
    expect(gaps).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000]);
  });

  it("RT4 spreads the delay over its whole range", async () => {
    const t = setup({ ticket: () => Promise.reject(new TypeError("network")) }, () => 0.25);
    t.socket.start();
    await vi.advanceTimersByTimeAsync(125);
    const waiting = t.statuses.filter((s) => s.state === "waiting");
    expect(waiting.at(1)?.retryAt).toBe(1_700_000_000_000 + 125);
  });

  it.each(["online", "visible", "retryNow"])("RT4 tries at once on %s", async (trigger) => {
    const ticket = vi.fn().mockRejectedValue(new TypeError("network"));
    const t = setup({ ticket });
    t.socket.start();
    await vi.advanceTimersByTimeAsync(20_000);
    const calls = ticket.mock.calls.length;
    if (trigger === "online") t.window.dispatchEvent(new Event("online"));
    else if (trigger === "visible") t.document.dispatchEvent(new Event("visibilitychange"));
    else t.socket.retryNow();
    await t.settle();
    expect(ticket.mock.calls.length).toBeGreaterThan(calls);
  });

  it("RT4 gives up the connection when the browser says offline", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    t.window.dispatchEvent(new Event("offline"));
    expect(ws.closedByClient).toBe(true);
    expect(t.socket.status.state).toBe("waiting");
  });

  it("RT4 starts delays anew only after a connection that lived", async () => {
    const t = setup();
    t.socket.start();
    for (let i = 0; i < 3; i++) {
      const { ws } = await t.accept([topic(0, i ? "recovered" : "fresh")]);
      ws.fail(4008);
      await vi.advanceTimersByTimeAsync([0, 500, 1000][i] ?? 0);
    }
    expect(t.statuses.filter((s) => s.state === "waiting").map((s) => s.attempt)).toEqual([1, 2, 3]);
    const { ws } = await t.accept([topic(0, "recovered")]);
    await vi.advanceTimersByTimeAsync(6000);
    ws.fail(4008);
    expect(t.socket.status).toMatchObject({ state: "waiting", attempt: 1 });
  });

  it("RT4 spreads over the time that a draining server names", async () => {
    const t = setup({}, () => 0.5);
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.fail(1012, "draining retry=4000");
    expect(t.socket.status).toMatchObject({ state: "waiting", retryAt: Date.now() + 2000 });
  });

  it("RT4 4401 refreshes the session once, then connects again", async () => {
    const refresh = vi.fn(async () => true);
    const t = setup({ refresh });
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.fail(4401);
    await vi.advanceTimersByTimeAsync(1);
    expect(refresh).toHaveBeenCalledTimes(1);
    await t.settle();
    FakeWebSocket.last().fail(4401);
    await t.settle();
    expect(t.socket.status).toMatchObject({ state: "stopped", reason: "session" });
    expect(refresh).toHaveBeenCalledTimes(1);
  });

  it("RT4 4401 ends the session when it cannot be refreshed", async () => {
    const t = setup({ refresh: async () => false });
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.fail(4401, "logged out");
    await t.settle();
    expect(t.socket.status).toEqual({ state: "stopped", reason: "session", code: 4401, text: "logged out" });
  });

  it("RT4 handles a refused connect like its close code", async () => {
    const refresh = vi.fn(async () => false);
    const t = setup({ refresh });
    t.socket.start();
    await t.settle();
    const ws = FakeWebSocket.last();
    ws.onopen?.();
    ws.frame({ id: ws.command("connect").id, type: "error", error: { code: "unauthenticated", message: "no" } });
    await t.settle();
    expect(refresh).toHaveBeenCalledTimes(1);
    expect(t.socket.status).toMatchObject({ state: "stopped", reason: "session" });
  });

  const closes: [number, StopReason | undefined][] = [
    [1000, undefined],
    [1001, undefined],
    [1002, "protocol"],
    [1006, undefined],
    [1007, "protocol"],
    [1008, "policy"],
    [1009, "protocol"],
    [1011, undefined],
    [1012, undefined],
    [4000, undefined],
    [4008, undefined],
    [4403, "removed"],
    [4499, undefined],
    [4500, "protocol"],
    [4999, "protocol"],
  ];
  it.each(closes)("RT4 code %i: reason to stop: %s", async (code, reason) => {
    expect(stopOf(code)).toBe(reason);
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    ws.fail(code, "why");
    if (reason) expect(t.socket.status).toEqual({ state: "stopped", reason, code, text: "why" });
    else expect(t.socket.status.state).toBe("waiting");
    t.socket.close();
  });

  it("close() leaves nothing running", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)], [], { expiresAt: Date.now() + 900_000 });
    t.socket.close();
    expect(ws.closedByClient).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    t.window.dispatchEvent(new Event("online"));
    expect(t.socket.status).toMatchObject({ state: "stopped", reason: "closed" });
  });
});

describe("liveness", () => {
  it("RT5 takes 40 s without bytes for dead", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    await vi.advanceTimersByTimeAsync(livenessMs - 1);
    ws.frame({ type: "heartbeat", at: 1, data: { offsets: { "group/1": 0 } } });
    await vi.advanceTimersByTimeAsync(livenessMs - 1);
    expect(t.socket.status.state).toBe("open");
    await vi.advanceTimersByTimeAsync(1);
    expect(ws.closedByClient).toBe(true);
    expect(t.socket.status.state).not.toBe("open");
  });

  it("RT5 finds on waking that the timers slept", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    vi.setSystemTime(Date.now() + 3_600_000);
    t.document.dispatchEvent(new Event("visibilitychange"));
    expect(ws.closedByClient).toBe(true);
  });

  it("RT5 repairs when a heartbeat tells of events that do not come", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame({ type: "heartbeat", at: 1, data: { offsets: { "group/1": 7 } } });
    await vi.advanceTimersByTimeAsync(heartbeatGraceMs + 1);
    expect(ws.closedByClient).toBe(true);
    const again = await t.accept([topic(7, "recovered")], [event(6), event(7)]);
    expect(again.resume).toEqual([{ topic: "group/1", epoch: "e", offset: 5 }]);
    expect(t.offsets()).toEqual([6, 7]);
  });

  it("RT5 does not repair when the events were only on their way", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame({ type: "heartbeat", at: 1, data: { offsets: { "group/1": 6 } } }, event(6));
    await vi.advanceTimersByTimeAsync(heartbeatGraceMs + 1);
    expect(ws.closedByClient).toBe(false);
  });

  it("RT5 repairs when the epoch changed", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(5)]);
    ws.frame({ type: "heartbeat", at: 1, data: { offsets: { "group/1": 1 }, epochs: { "group/1": "f" } } });
    expect(ws.closedByClient).toBe(true);
  });

  it("RT11 keeps the server's time", async () => {
    const t = setup();
    t.socket.start();
    await t.accept([topic(0)], [], { serverTime: Date.now() + 7_200_000 });
    expect(t.socket.now() - Date.now()).toBe(7_200_000);
  });
});

describe("commands", () => {
  it("matches answers to requests by id", async () => {
    const t = setup();
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    const one = t.socket.request<{ n: number }>("message.send", { text: "a" });
    const two = t.socket.request("interaction.claim", { version: 1 });
    const refused = expect(two).rejects.toMatchObject({ code: "conflict", details: { by: "Ana" }, temporary: false });
    ws.frame({
      id: ws.command("interaction.claim").id,
      type: "error",
      error: { code: "conflict", message: "Ana", details: { by: "Ana" } },
    });
    ws.frame({ id: ws.command("message.send").id, type: "ok", data: { n: 1 } });
    await expect(one).resolves.toEqual({ n: 1 });
    await refused;
  });

  it("fails a request without connection, without answer, and at loss", async () => {
    const t = setup();
    await expect(t.socket.request("x")).rejects.toMatchObject({ code: "offline", temporary: true });
    t.socket.start();
    const { ws } = await t.accept([topic(0)]);
    const slow = expect(t.socket.request("x", {}, { timeoutMs: 50 })).rejects.toMatchObject({ code: "timeout" });
    await vi.advanceTimersByTimeAsync(50);
    await slow;
    const cut = expect(t.socket.request("y")).rejects.toMatchObject({ code: "offline" });
    ws.fail(1006);
    await cut;
  });

  it("extends the connection before its token ends", async () => {
    const token = vi.fn(async () => "new-token");
    const t = setup({ token });
    t.socket.start();
    const { ws } = await t.accept([topic(0)], [], { expiresAt: Date.now() + 90_000 });
    const keepAlive = () => ws.frame({ type: "heartbeat", at: 1, data: { offsets: {} } });
    await vi.advanceTimersByTimeAsync(25_000);
    keepAlive();
    await vi.advanceTimersByTimeAsync(20_001);
    expect(ws.command("auth.refresh").data).toEqual({ token: "new-token" });
    ws.frame({ id: ws.command("auth.refresh").id, type: "ok", data: { expiresAt: Date.now() + 900_000 } });
    await t.settle();
    expect(token).toHaveBeenCalledTimes(1);
  });
});
