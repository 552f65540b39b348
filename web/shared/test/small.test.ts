import "fake-indexeddb/auto";
import { afterEach, describe, expect, it, vi } from "vitest";
import {
  address,
  advances,
  age,
  EarlyStatuses,
  fileSize,
  openOutbox,
  phone,
  type Status,
  type StatusChange,
  TypingReporter,
  tokenize,
  type Unsent,
  uuidv7,
  withStatus,
} from "../src";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("status", () => {
  const order: Status[] = ["queued", "unknown", "sent", "failed", "delivered", "read"];
  it("RT7 moves up only", () => {
    for (const [i, from] of order.entries()) {
      for (const [j, to] of order.entries()) expect(advances(from, to), `${from} to ${to}`).toBe(j > i);
    }
    expect(advances("failed", "undeliverable")).toBe(false);
    expect(advances(undefined, "queued")).toBe(true);
  });

  it("RT7 leaves a message alone when a status would go back, and clears a failure's reason on delivery", () => {
    const failed = { id: "1", status: "failed" as Status, reason: "unknown" as const, errorCode: "1" };
    expect(withStatus(failed, { status: "sent", at: 5 })).toBe(failed);
    expect(withStatus(failed, { status: "delivered", at: 5 })).toMatchObject({
      status: "delivered",
      statusAt: 5,
      reason: undefined,
      errorCode: undefined,
    });
  });

  it("RT7 begins anew when a failed message is sent again", () => {
    const failed = { id: "m", status: "failed" as const, reason: "unreachable" as const, errorCode: "30003" };
    const queued = withStatus(failed, { status: "queued", at: 5, attempt: 1 });
    expect(queued).toMatchObject({ status: "queued", attempt: 1, reason: undefined, errorCode: undefined });
    expect(withStatus(queued, { status: "failed", at: 6 }), "late word of the first attempt").toBe(queued);
    expect(withStatus(queued, { status: "delivered", at: 6 })).toMatchObject({ status: "delivered", attempt: 1 });
    expect(withStatus(queued, { status: "failed", at: 6, attempt: 1 })).toMatchObject({ status: "failed", attempt: 1 });
    const early = new EarlyStatuses();
    early.add({ messageId: "m", interactionId: "i", status: "failed", at: 1 }, 0);
    early.add({ messageId: "m", interactionId: "i", status: "queued", at: 2, attempt: 1 }, 0);
    expect(early.take("m", 0)).toMatchObject({ status: "queued", attempt: 1 });
  });

  it("RT7 keeps a status that came first for 60 s, the highest of several", () => {
    const early = new EarlyStatuses();
    const change = (status: Status, messageId = "m"): StatusChange => ({
      messageId,
      interactionId: "i",
      status,
      at: 1,
    });
    early.add(change("delivered"), 0);
    early.add(change("sent"), 10);
    expect(early.take("m", 59_999)?.status).toBe("delivered");
    expect(early.take("m", 59_999)).toBeUndefined();
    early.add(change("sent"), 0);
    expect(early.take("m", 60_000)).toBeUndefined();
  });

  it("RT12 remembers early statuses of a bounded number of messages", () => {
    const early = new EarlyStatuses(2);
    for (const id of ["a", "b", "c"]) early.add({ messageId: id, interactionId: "i", status: "sent", at: 1 }, 0);
    expect(["a", "b", "c"].map((id) => early.take(id, 1)?.status)).toEqual([undefined, "sent", "sent"]);
  });
});

describe("typing", () => {
  it("RT8 is sent at most every 3 s, and stops after 6 s idle", () => {
    vi.useFakeTimers({ now: 0 });
    const sent: boolean[] = [];
    const typing = new TypingReporter((stop) => sent.push(stop));
    for (let i = 0; i < 7; i++) {
      typing.typed();
      vi.advanceTimersByTime(500);
    }
    expect(sent).toEqual([false, false]);
    vi.advanceTimersByTime(5999);
    expect(sent).toEqual([false, false, true]);
    typing.stop();
    expect(sent).toHaveLength(3);
  });

  it("RT8 stops at once on send and starts at once after it", () => {
    vi.useFakeTimers({ now: 0 });
    const sent: boolean[] = [];
    const typing = new TypingReporter((stop) => sent.push(stop));
    typing.typed();
    typing.stop();
    typing.typed();
    expect(sent).toEqual([false, true, false]);
    typing.stop();
  });
});

describe("ids", () => {
  it("RT6 makes UUIDv7 that sort in order of making", () => {
    const ids = Array.from({ length: 10_000 }, () => uuidv7(1_700_000_000_000));
    ids.push(uuidv7(1_600_000_000_000));
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual(ids);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });
});

describe("text", () => {
  const hrefs = (text: string) => tokenize(text).flatMap((t) => (t.kind === "link" ? [t.href] : []));
  it.each([
    ["see https://example.com/a?b=c#d.", ["https://example.com/a?b=c#d"]],
    ["(https://en.wikipedia.org/wiki/A_(b))", ["https://en.wikipedia.org/wiki/A_(b)"]],
    ["mail ana@example.com, please", ["mailto:ana@example.com"]],
    ["call +1 415-555-0100 now", ["tel:+14155550100"]],
    ["javascript:alert(1) data:text/html,x vbscript:x", []],
    ['<a href="javascript:alert(1)">https://ok.example</a>', ["https://ok.example"]],
    ["http://", []],
  ])("TH10 links in %s", (text, want) => {
    expect(hrefs(text)).toEqual(want);
  });

  it("M5 allows no scheme but http, https, mailto, tel", () => {
    for (const text of ["JAVASCRIPT://x", "file:///etc/passwd", "blob:https://x/y", "ftp://x", " java\tscript:x"]) {
      for (const href of hrefs(text)) expect(href).toMatch(/^(https?|mailto|tel):/);
    }
  });

  it("TH10 marks only where asked for, and loses no other character", () => {
    expect(tokenize("*a* _b_ ~c~ `d`", { marks: true }).filter((t) => t.kind !== "text")).toEqual([
      { kind: "bold", text: "a" },
      { kind: "italic", text: "b" },
      { kind: "strike", text: "c" },
      { kind: "code", text: "d" },
    ]);
    for (const plain of ["2 * 3 * 4", "snake_case_name", "*", "**", "a*b*c", "* a *"]) {
      expect(tokenize(plain, { marks: true })).toEqual([{ kind: "text", text: plain }]);
    }
    expect(tokenize("*a*")).toEqual([{ kind: "text", text: "*a*" }]);
  });

  it("joins back to the text, quickly, whatever it is", () => {
    const hostile = [
      "a@".repeat(20_000),
      "*a".repeat(20_000),
      "+1".repeat(20_000),
      "https://".repeat(5000),
      "(".repeat(50_000),
    ];
    for (const text of hostile) {
      const start = performance.now();
      expect(
        tokenize(text)
          .map((t) => t.text)
          .join(""),
      ).toBe(text);
      tokenize(text, { marks: true });
      expect(performance.now() - start).toBeLessThan(1000);
    }
  });
});

describe("format", () => {
  it.each([
    ["+14155550100", "+1 415 555 0100"],
    ["+4915112345678", "+49 151 123 456 78"],
    ["+385911234567", "+385 911 234 567"],
    ["short", "short"],
    ["12345", "12345"],
  ])("phone %s", (raw, want) => {
    expect(phone(raw)).toBe(want);
  });

  it("address knows which channels have numbers", () => {
    expect(address("WhatsApp", "14155550100")).toBe("+1 415 555 0100");
    expect(address("LiveChat", "14155550100")).toBe("14155550100");
  });

  it("age is short", () => {
    const now = 1_700_000_000_000;
    expect([0, 59, 60, 3600, 86_400].map((s) => age(now - s * 1000, now, "en"))).toEqual([
      "now",
      "now",
      "1m",
      "1h",
      "1d",
    ]);
  });

  it("file sizes", () => {
    expect([12, 1500, 12_345_678].map((n) => fileSize(n, "en"))).toEqual(["12 bytes", "1.5 kB", "12 MB"]);
  });
});

describe("outbox", () => {
  const unsent = (clientId: string, userId = "u"): Unsent => ({
    clientId,
    userId,
    conversationId: "c",
    text: clientId,
    createdAt: 1,
  });

  it("RT6 keeps unsent messages over a reload, in order, per user", async () => {
    const first = openOutbox("t1");
    await first.put(unsent("2"));
    await first.put(unsent("1"));
    await first.put(unsent("0", "other"));
    const reloaded = openOutbox("t1");
    expect((await reloaded.list("u")).map((m) => m.clientId)).toEqual(["1", "2"]);
    await reloaded.remove("1");
    expect((await openOutbox("t1").list("u")).map((m) => m.clientId)).toEqual(["2"]);
  });

  it("RT6 works without IndexedDB", async () => {
    vi.stubGlobal("indexedDB", {
      open: () => {
        throw new DOMException("denied", "SecurityError");
      },
    });
    const box = openOutbox("t2");
    await box.put(unsent("1"));
    expect(await box.list("u")).toEqual([unsent("1")]);
    await box.remove("1");
    expect(await box.list("u")).toEqual([]);
  });
});
