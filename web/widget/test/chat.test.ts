import { OmniError } from "@omni/shared";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { memoryKeep } from "../src/panel/storage";
import { Backend, texts } from "./backend";

let b: Backend;
beforeEach(() => {
  vi.useFakeTimers();
  b = new Backend();
});
afterEach(() => {
  vi.useRealTimers();
});

const settle = () => vi.advanceTimersByTimeAsync(0);

async function opened(keep = memoryKeep(), told: string[] = []) {
  const chat = b.chat(keep, told);
  await chat.start();
  chat.connect();
  await settle();
  return chat;
}

describe("session", () => {
  test("WG2 reading the configuration makes no session and no socket", async () => {
    const chat = b.chat();
    await chat.start();
    expect(b.requests).toEqual(["GET widgets/w1"]);
    expect(b.started).toBe(0);
  });

  test("WG4 the same visitor comes back, with what was said", async () => {
    const keep = memoryKeep();
    b.add("INBOUND", "one");
    b.add("OUTBOUND", "two");
    await opened(keep);
    expect(keep.get("omni.token.w1")).toBe("token-1");
    const again = await opened(keep);
    expect(b.tokens.size).toBe(1);
    expect(texts(again)).toEqual(["one", "two"]);
    expect(again.known).toBe(true);
  });

  test("a token that the server no longer takes makes a new visitor, and what waits is still sent", async () => {
    const keep = memoryKeep();
    keep.set("omni.token.w1", "of another server");
    const chat = b.chat(keep);
    chat.send("hello");
    await chat.start();
    chat.connect();
    await settle();
    expect(keep.get("omni.token.w1")).toBe("token-1");
    expect(texts(chat)).toEqual(["hello"]);
  });

  test("a visitor that has become another one sees nothing of the first", async () => {
    const chat = await opened();
    chat.send("mine");
    await settle();
    b.cut();
    b.visitorId = "v2";
    b.begin();
    await b.open();
    expect(texts(chat)).toEqual([]);
    expect(chat.past.value).toEqual([]);
  });

  test("WG7 a server that does not answer is an error that can be tried again", async () => {
    const told: string[] = [];
    const { config } = b;
    b.config = undefined;
    const chat = b.chat(memoryKeep(), told);
    await chat.start();
    expect(chat.phase.value).toBe("error");
    expect(told).toEqual(["error"]);
    b.config = config;
    await chat.start();
    expect(chat.phase.value).toBe("chat");
  });

  test("connect twice is one socket", async () => {
    const chat = await opened();
    chat.connect();
    expect(b.started).toBe(1);
  });
});

describe("WG10 sending", () => {
  test("shows at once and sends in order, each once", async () => {
    const told: string[] = [];
    const chat = await opened(memoryKeep(), told);
    for (const t of ["one", "two", "three"]) chat.send(t);
    expect(chat.waiting.value.map((w) => w.text)).toEqual(["one", "two", "three"]);
    await settle();
    expect(chat.waiting.value).toEqual([]);
    expect(texts(chat)).toEqual(["one", "two", "three"]);
    expect(told).toEqual(["sent", "sent", "sent"]);
  });

  test("sends nothing that is only space", async () => {
    const chat = await opened();
    chat.send(" \n ");
    await settle();
    expect(b.commands).toEqual([]);
  });

  test("keeps what was written without a connection over a reload, and sends it then", async () => {
    const keep = memoryKeep();
    const chat = await opened(keep);
    b.cut();
    chat.send("one");
    chat.send("two");
    await settle();
    expect(b.sent()).toEqual([]);
    chat.stop();
    const next = await opened(keep);
    expect(b.sent()).toEqual(["one", "two"]);
    expect(texts(next)).toEqual(["one", "two"]);
    expect(next.waiting.value).toEqual([]);
  });

  test("an answer that was lost makes no second message", async () => {
    const chat = await opened();
    b.swallow = true;
    chat.send("once");
    await settle();
    expect(chat.waiting.value).toHaveLength(1);
    await b.open();
    await settle();
    expect(b.sent()).toEqual(["once", "once"]);
    expect(texts(chat)).toEqual(["once"]);
    expect(chat.waiting.value).toEqual([]);
  });

  test("its own event may come before the answer", async () => {
    const chat = await opened();
    b.cut();
    chat.send("hello");
    const [w] = chat.waiting.value;
    b.event("message.created", b.add("INBOUND", "hello", { clientId: w?.clientId ?? "" }));
    expect(chat.waiting.value).toEqual([]);
    expect(texts(chat)).toEqual(["hello"]);
  });

  test("waits as long as the server asks when it is too fast", async () => {
    const chat = await opened();
    b.refuse = new OmniError({ code: "rate_limited", message: "slow down", retryAfterMs: 5000 });
    chat.send("hello");
    await settle();
    b.refuse = undefined;
    await vi.advanceTimersByTimeAsync(4999);
    expect(texts(chat)).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(texts(chat)).toEqual(["hello"]);
  });

  test.each(["conflict", "unauthenticated", "unavailable"] as const)("%s is tried again by itself", async (code) => {
    const chat = await opened();
    b.refuse = new OmniError({ code, message: "not now" });
    chat.send("hello");
    await settle();
    expect(chat.waiting.value).toMatchObject([{ text: "hello" }]);
    expect(chat.waiting.value[0]?.failed).toBeUndefined();
    b.refuse = undefined;
    await vi.advanceTimersByTimeAsync(3000);
    expect(texts(chat)).toEqual(["hello"]);
  });

  test("a refusal says why, holds nothing else up, and can be tried again or deleted", async () => {
    const told: string[] = [];
    const chat = await opened(memoryKeep(), told);
    b.refuse = new OmniError({ code: "invalid", message: "too long" });
    chat.send("bad");
    await settle();
    b.refuse = undefined;
    chat.send("good");
    await settle();
    expect(texts(chat)).toEqual(["good"]);
    expect(chat.waiting.value).toMatchObject([{ text: "bad", failed: "too long" }]);
    expect(told).toEqual(["error", "sent"]);
    chat.retry(chat.waiting.value[0]?.clientId ?? "");
    await settle();
    expect(texts(chat)).toEqual(["good", "bad"]);
    b.refuse = new OmniError({ code: "invalid", message: "too long" });
    chat.send("bad");
    await settle();
    chat.discard(chat.waiting.value[0]?.clientId ?? "");
    expect(chat.waiting.value).toEqual([]);
  });

  test("what another tab wrote appears and is sent", async () => {
    const keep = memoryKeep();
    const chat = await opened(keep);
    keep.set("omni.queue.w1.x", JSON.stringify({ clientId: "x", text: "from there", at: Date.now() }));
    chat.refreshQueue();
    await settle();
    expect(texts(chat)).toEqual(["from there"]);
  });
});

describe("WG11 receiving", () => {
  test("in order of seq, each once, however it comes", async () => {
    const chat = await opened();
    const one = b.reply("one");
    b.event("message.created", one);
    const two = b.add("OUTBOUND", "two");
    b.event("message.created", b.add("OUTBOUND", "three"));
    b.event("message.created", two);
    expect(texts(chat)).toEqual(["one", "two", "three"]);
  });

  test("what a lost history held is read again, until that works, and announced once", async () => {
    const chat = await opened();
    const heard: (string | undefined)[] = [];
    chat.onArrival = (m) => heard.push(m.payload.text);
    b.reply("one");
    for (let i = 2; i <= 130; i++) b.add("OUTBOUND", String(i));
    const { fetch } = globalThis;
    const real = b.topics;
    b.topics = () => {
      throw new Error("down");
    };
    b.host?.reset();
    await settle();
    expect(texts(chat)).toEqual(["one"]);
    b.topics = real;
    await vi.advanceTimersByTimeAsync(3000);
    expect(texts(chat)).toHaveLength(130);
    expect(texts(chat).at(-1)).toBe("130");
    expect(heard).toHaveLength(130);
    expect(globalThis.fetch).toBe(fetch);
  });

  test("a new conversation, which counts from 1 again, follows the old one", async () => {
    const chat = await opened();
    for (const t of ["one", "two", "three"]) chat.send(t);
    await settle();
    b.event("interaction.updated", { agentReadSeq: 3 });
    b.begin();
    chat.send("a week later");
    await settle();
    expect(texts(chat)).toEqual(["a week later"]);
    expect(chat.past.value.map((m) => m.payload.text)).toEqual(["one", "two", "three"]);
    expect(chat.seen.value.seq).toBe(0);
    b.reply("Hello again");
    expect(chat.unread.value).toBe(1);
    expect(texts(chat)).toEqual(["a week later", "Hello again"]);
  });

  test.each([1, 60])(
    "a new conversation with %i messages that began elsewhere is found after a lost history",
    async (n) => {
      const chat = await opened();
      for (const t of ["one", "two"]) b.reply(t);
      b.begin();
      for (let i = 1; i <= n; i++) b.add("OUTBOUND", `new ${i}`);
      b.host?.reset();
      await settle();
      expect(chat.past.value.map((m) => m.payload.text)).toEqual(["one", "two"]);
      expect(texts(chat).at(-1)).toBe(`new ${n}`);
      expect(chat.hasOlder.value).toBe(n > 50);
    },
  );

  test("a first message in a long conversation is of a new one", async () => {
    for (let i = 1; i <= 60; i++) b.add("OUTBOUND", String(i));
    const chat = await opened();
    b.begin();
    b.reply("new");
    expect(texts(chat)).toEqual(["new"]);
    expect(chat.past.value).toHaveLength(50);
  });

  test("earlier messages come by pages, one request at a time", async () => {
    for (let i = 1; i <= 120; i++) b.add("OUTBOUND", String(i));
    const chat = await opened();
    expect(chat.messages.value).toHaveLength(50);
    expect(chat.hasOlder.value).toBe(true);
    await Promise.all([chat.loadOlder(), chat.loadOlder()]);
    expect(chat.messages.value).toHaveLength(100);
    await chat.loadOlder();
    await chat.loadOlder();
    expect(texts(chat)).toEqual(Array.from({ length: 120 }, (_, i) => String(i + 1)));
    expect(chat.hasOlder.value).toBe(false);
    expect(b.requests.filter((r) => r.includes("before"))).toHaveLength(2);
  });

  test("since when there is no connection is known until there is one", async () => {
    const chat = await opened();
    expect(chat.offlineSince.value).toBe(0);
    vi.setSystemTime(5000);
    b.cut();
    vi.setSystemTime(9000);
    b.cut();
    expect(chat.offlineSince.value).toBe(5000);
    await b.open();
    expect(chat.offlineSince.value).toBe(0);
  });
});

describe("read marks", () => {
  test("unread counts what the team wrote since the last reading, and reading is told once", async () => {
    b.add("INBOUND", "one");
    b.add("OUTBOUND", "two");
    b.contactReadSeq = 2;
    const chat = await opened();
    expect(chat.unread.value).toBe(0);
    b.reply("three");
    b.reply("four");
    expect(chat.unread.value).toBe(2);
    chat.markRead();
    chat.markRead();
    await settle();
    expect(chat.unread.value).toBe(0);
    expect(b.commands).toEqual([{ type: "message.read", data: { seq: 4 } }]);
  });

  test("reading without a connection is told when it is back", async () => {
    const chat = await opened();
    b.reply("one");
    b.cut();
    chat.markRead();
    expect(chat.unread.value).toBe(0);
    await b.open();
    chat.markRead();
    await settle();
    expect(b.commands).toEqual([{ type: "message.read", data: { seq: 1 } }]);
  });

  test("WG10 the team has seen up to a message, and at what time", async () => {
    const chat = await opened();
    b.event("interaction.updated", { interactionId: "i", agentReadSeq: 3 }, 77);
    expect(chat.seen.value).toEqual({ seq: 3, at: 77 });
    b.event("interaction.updated", { interactionId: "i", agentReadSeq: 2 }, 99);
    expect(chat.seen.value).toEqual({ seq: 3, at: 77 });
  });

  test("what another tab read is read here", async () => {
    const chat = await opened();
    b.reply("one");
    b.event("interaction.updated", { interactionId: "i", contactReadSeq: 1 });
    expect(chat.unread.value).toBe(0);
    chat.markRead();
    expect(b.commands).toEqual([]);
  });

  test("a resolved conversation says so until somebody writes", async () => {
    const chat = await opened();
    b.event("interaction.resolved", { interactionId: "i" });
    expect(chat.resolved.value).toBe(true);
    b.event("interaction.reopened", { interactionId: "i" });
    expect(chat.resolved.value).toBe(false);
    b.event("interaction.resolved", { interactionId: "i" });
    chat.send("one more thing");
    await settle();
    expect(chat.resolved.value).toBe(false);
  });
});

describe("WG13 typing", () => {
  const ana = { interactionId: "i", who: { type: "USER", name: "Ana" }, until: 1 };

  test("of the team is shown for 8 s at most, and ends with the message", async () => {
    const chat = await opened();
    b.event("typing", ana);
    expect(chat.typing.value).toBe("Ana");
    await vi.advanceTimersByTimeAsync(7999);
    expect(chat.typing.value).toBe("Ana");
    await vi.advanceTimersByTimeAsync(1);
    expect(chat.typing.value).toBeUndefined();
    b.event("typing", ana);
    b.reply("hello");
    expect(chat.typing.value).toBeUndefined();
    b.event("typing", ana);
    b.event("typing", { ...ana, until: 0 });
    expect(chat.typing.value).toBeUndefined();
    b.event("typing", ana);
    b.cut();
    expect(chat.typing.value).toBeUndefined();
  });

  test("of the visitor's own other tab is not shown", async () => {
    const chat = await opened();
    b.event("typing", { ...ana, who: { type: "CONTACT" } });
    expect(chat.typing.value).toBeUndefined();
  });
});
