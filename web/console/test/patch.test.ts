import type { Interaction, MediaFile, Message } from "@omni/shared";
import { describe, expect, it } from "vitest";
import {
  appended,
  counted,
  type ListData,
  merged,
  newest,
  placed,
  reread,
  withAllReactions,
  withChange,
  withDeletion,
  withMessage,
  withMessageStatus,
  withReaction,
} from "../src/live/patch";
import { interaction, me, message, page, t0 } from "./make";

const kind = (name: string) => `[${name}]`;
const at = (id: string, minutes: number, over: Partial<Interaction> = {}) =>
  interaction({ id, lastMessageAt: t0 + minutes * 60_000, ...over });
const list = (pages: Interaction[][], next = ""): ListData => ({
  pages: pages.map((items, n) => page(items, { next: n < pages.length - 1 ? "more" : next })),
  pageParams: pages.map(() => ""),
});
const ids = (d: ListData) => d.pages.map((p) => p.items.map((i) => i.id));
const all = { view: "all", state: "open" } as const;

describe("lists", () => {
  it("RT3 moves a row to its new place, over pages, once", () => {
    const d = list([[at("a", 9), at("b", 8)], [at("c", 7)]]);
    expect(ids(placed(d, at("c", 10), all, me.id))).toEqual([["c", "a", "b"], []]);
    expect(ids(placed(d, at("a", 7.5), all, me.id))).toEqual([["b"], ["a", "c"]]);
  });

  it("RT3 adds a new row where it belongs, and leaves what is beyond the loaded pages to paging", () => {
    expect(ids(placed(list([[at("a", 9)]], "more"), at("n", 10), all, me.id))).toEqual([["n", "a"]]);
    expect(ids(placed(list([[at("a", 9)]], "more"), at("n", 1), all, me.id))).toEqual([["a"]]);
    expect(ids(placed(list([[at("a", 9)]]), at("n", 1), all, me.id))).toEqual([["a", "n"]]);
    expect(ids(placed(list([[]]), at("n", 1), all, me.id))).toEqual([["n"]]);
  });

  it("CL1 takes a row out of a view that it no longer belongs to", () => {
    const d = list([[at("a", 9), at("b", 8)]]);
    const claimed = at("a", 9, { owner: { type: "User", id: "u-ana" } });
    expect(ids(placed(d, claimed, { view: "unassigned", state: "open" }, me.id))).toEqual([["b"]]);
    expect(ids(placed(d, claimed, { view: "mine", state: "open" }, me.id))).toEqual([["b"]]);
    expect(ids(placed(d, at("b", 8, { state: "resolved" }), all, me.id))).toEqual([["a"]]);
    const resolved = { view: "all", state: "resolved" } as const;
    expect(ids(placed(list([[]]), at("b", 8, { state: "resolved" }), resolved, me.id))).toEqual([["b"]]);
  });

  it("CL1 moves the counts with an owner and a state", () => {
    const counts = { mine: 1, unassigned: 1, all: 2 };
    const mine = interaction({ owner: { type: "User", id: me.id } });
    expect(counted(counts, interaction(), mine, me.id)).toEqual({ mine: 2, unassigned: 0, all: 2 });
    expect(counted(counts, mine, { ...mine, state: "resolved" }, me.id)).toEqual({ mine: 0, unassigned: 1, all: 1 });
  });
});

describe("interactions", () => {
  it("RT2 does not apply a change twice, nor one older than what is known", () => {
    const i = interaction({ version: 5, owner: { type: "User", id: "u-ana" } });
    const old = withChange(i, {
      interactionId: "i1",
      version: 4,
      owner: { type: "User", id: me.id },
      state: "resolved",
    });
    expect(old).toEqual(i);
    const c = { interactionId: "i1", version: 6, owner: { type: "User" as const, id: me.id } };
    expect(withChange(withChange(i, c), c)).toEqual({ ...i, version: 6, owner: c.owner });
  });

  it("TH11 never takes a read mark back", () => {
    const i = interaction({ agentReadSeq: 10, unread: 0 });
    expect(withChange(i, { interactionId: "i1", version: 0, agentReadSeq: 8, unread: 2 })).toEqual(i);
    expect(withChange(i, { interactionId: "i1", agentReadSeq: 12, unread: 1 })).toMatchObject({
      agentReadSeq: 12,
      unread: 1,
    });
  });

  it("a message moves activity, preview, unread and waiting, once", () => {
    const i = interaction();
    const m = message(4, { payload: { type: "text", text: "  two\nlines " } });
    const next = withMessage(i, m, kind);
    expect(next).toMatchObject({
      lastSeq: 4,
      lastMessageAt: m.at,
      lastPreview: "two lines",
      unread: 1,
      waitingSince: m.at,
    });
    expect(withMessage(next, m, kind)).toBe(next);
    const answer = message(5, { direction: "OUTBOUND" });
    const answered = withMessage(next, answer, kind);
    expect(answered.waitingSince).toBeUndefined();
    expect(answered).toMatchObject({ unread: 1, lastDirection: "OUTBOUND" });
  });

  it("names a message that has no text", () => {
    const file = message(4, { payload: { type: "media", files: [{ type: "audio", state: "ready" }] } });
    expect(withMessage(interaction(), file, kind).lastPreview).toBe("[audio]");
    const odd = message(4, { payload: { type: "unsupported", unsupported: "poll" } });
    expect(withMessage(interaction(), odd, kind).lastPreview).toBe("[unsupported]");
  });

  it("RT2 an answer overtaken by events does not undo them", () => {
    const known = interaction({ version: 3, lastSeq: 9, lastPreview: "newest" });
    expect(newest(known, interaction({ version: 2, lastSeq: 8 }))).toBe(known);
    const answer = interaction({ version: 4, lastSeq: 8, state: "resolved", lastPreview: "older" });
    expect(newest(known, answer)).toMatchObject({
      version: 4,
      state: "resolved",
      lastPreview: "newest",
    });
  });
});

describe("threads", () => {
  it("shows a sender's latest reaction, and nothing of what was taken back", () => {
    const by = (emoji: string, at: number, senderId = "u1") => ({
      messageId: "m2",
      interactionId: "i1",
      reaction: { senderType: "USER" as const, senderId, emoji, at },
    });
    let now = withReaction({ items: [message(2)], hasMore: false }, by("👍", 5));
    now = withReaction(now, by("❤️", 4));
    now = withReaction(now, by("🙏", 6, "u2"));
    expect(now.items[0]?.reactions?.map((r) => r.emoji)).toEqual(["👍", "🙏"]);
    const again = appended(now, message(2));
    expect(again?.items[0]?.reactions).toHaveLength(2);
    expect(appended(now, withAllReactions(message(2)))?.items[0]?.reactions).toEqual([]);
    now = withReaction(now, by("", 7));
    expect(now.items[0]?.reactions?.map((r) => r.emoji)).toEqual(["🙏"]);
    expect(withReaction(now, { ...by("👍", 9), messageId: "m9" })).toBe(now);
    const gone = withDeletion(now, { messageId: "m2", interactionId: "i1", at: 10 });
    expect(gone.items[0]).toMatchObject({ deletedAt: 10, payload: { type: "text" } });
    expect(gone.items[0]?.payload.text).toBeUndefined();
  });

  const thread = { items: [message(2), message(3)], hasMore: true };
  const seqs = (items: { seq: number }[] | undefined) => items?.map((m) => m.seq);

  it("adds at the end, keeps one copy, and asks to be read again at a hole", () => {
    expect(seqs(appended(thread, message(4))?.items)).toEqual([2, 3, 4]);
    expect(seqs(appended(thread, message(3))?.items)).toEqual([2, 3]);
    expect(appended(thread, message(1))).toBe(thread);
    expect(appended(thread, message(5))).toBeUndefined();
    expect(seqs(appended({ items: [], hasMore: false }, message(1))?.items)).toEqual([1]);
  });

  it("RT7 an older copy of a message does not lower its status", () => {
    const out = message(3, { direction: "OUTBOUND", status: "delivered", statusAt: 9 });
    expect(merged([out], [message(3, { direction: "OUTBOUND", status: "queued" })])[0]?.status).toBe("delivered");
    expect(merged([out], [message(3, { direction: "OUTBOUND", status: "read" })])[0]?.status).toBe("read");
  });

  it("RT3 an older copy of a message takes nothing from what is known of its files", () => {
    const m = (file: object) =>
      message(3, { payload: { type: "image", files: [{ type: "image", ...file } as MediaFile] } });
    const file = (a: Message, b: Message) => merged([a], [b])[0]?.payload.files?.[0];
    const pending = m({ state: "pending" });
    const linked = m({ state: "ready", url: "/a", urlUntil: t0 });
    expect(file(pending, linked)?.url).toBe("/a");
    expect(file(linked, pending)?.url).toBe("/a");
    expect(file(linked, m({ state: "ready" }))?.url).toBe("/a");
    expect(file(linked, m({ state: "ready", url: "/b", urlUntil: t0 + 1 }))?.url).toBe("/b");
    expect(file(pending, m({ state: "failed" }))?.state).toBe("failed");
  });

  it("RT7 applies a status upwards, and tells when it has no such message", () => {
    const t = { items: [message(3, { direction: "OUTBOUND", status: "sent" })], hasMore: false };
    const change = { interactionId: "i1", at: 5 };
    expect(withMessageStatus(t, { ...change, messageId: "m3", status: "delivered" })?.items[0]?.status).toBe(
      "delivered",
    );
    expect(withMessageStatus(t, { ...change, messageId: "m3", status: "queued" })).toBe(t);
    expect(withMessageStatus(t, { ...change, messageId: "m9", status: "sent" })).toBeUndefined();
  });

  it("RT3 keeps older pages when the newest page is read again, unless there is a hole between", () => {
    expect(seqs(reread(thread, { items: [message(3), message(4)], hasMore: true }).items)).toEqual([2, 3, 4]);
    expect(seqs(reread(thread, { items: [message(9)], hasMore: true }).items)).toEqual([9]);
    expect(reread({ ...thread, hasMore: false }, { items: [message(4)], hasMore: true }).hasMore).toBe(false);
  });
});
