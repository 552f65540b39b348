import { describe, expect, it } from "vitest";
import { entries } from "../src/inbox/entries";
import { held } from "../src/inbox/order";
import { message, t0 } from "./make";

describe("held rows", () => {
  it("CL3 stay in place; new ones wait, gone ones go, further pages come", () => {
    expect(held(["a", "b", "c"], ["n", "c", "a", "b"])).toEqual({ order: ["a", "b", "c"], waiting: 1 });
    expect(held(["a", "b", "c"], ["a", "c"])).toEqual({ order: ["a", "c"], waiting: 0 });
    expect(held(["a", "b"], ["a", "b", "d", "e"])).toEqual({ order: ["a", "b", "d", "e"], waiting: 0 });
  });
});

describe("entries", () => {
  const minute = 60_000;
  it("TH2 blocks: same sender within 5 minutes", () => {
    const rows = entries(
      [
        message(1, { at: t0 }),
        message(2, { at: t0 + 4 * minute }),
        message(3, { at: t0 + 10 * minute }),
        message(4, { at: t0 + 11 * minute, direction: "OUTBOUND", userId: "a" }),
        message(5, { at: t0 + 12 * minute, direction: "OUTBOUND", userId: "b" }),
      ],
      [],
      0,
      "me",
    );
    expect(rows.map((r) => [r.first, r.last])).toEqual([
      [true, false],
      [false, true],
      [true, true],
      [true, true],
      [true, true],
    ]);
  });

  it("TH1 a new day and another channel begin a new block", () => {
    const rows = entries(
      [message(1), message(2, { channelType: "MMS" }), message(3, { at: t0 + 24 * 60 * minute })],
      [],
      0,
      "me",
    );
    expect(rows.map((r) => r.first)).toEqual([true, true, true]);
    expect(rows.map((r) => r.day)).toEqual([true, false, true]);
  });

  it("TH8 the New line stands above the first unread inbound message only", () => {
    const rows = entries([message(1), message(2, { direction: "OUTBOUND" }), message(3), message(4)], [], 2, "me");
    expect(rows.map((r) => r.isNew)).toEqual([false, false, true, false]);
  });

  it("RT6 a message that has arrived replaces the waiting one under the same key", () => {
    const waiting = { clientId: "c", interactionId: "i1", text: "x", at: t0 + 2000 };
    const before = entries([message(1)], [waiting], 0, "me");
    const after = entries([message(1), message(2, { direction: "OUTBOUND", clientId: "c" })], [waiting], 0, "me");
    expect(after.map((r) => r.key)).toEqual(before.map((r) => r.key));
  });
});
