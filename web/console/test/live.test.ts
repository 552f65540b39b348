import { type EventFrame, OmniError, type OmniSocket, type SocketOptions } from "@omni/shared";
import { QueryClient } from "@tanstack/react-query";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api } from "../src/api/endpoints";
import type { Contact, Counts } from "../src/api/records";
import { keys } from "../src/live/keys";
import { Live } from "../src/live/live";
import type { ListData, Thread } from "../src/live/patch";
import { useLive } from "../src/live/store";
import { contact, interaction, me, message, page, t0 } from "./make";

const initial = useLive.getState();

function setup() {
  useLive.setState({ ...initial, pending: [], typing: {} }, true);
  const qc = new QueryClient();
  let options: SocketOptions | undefined;
  const socket = {
    status: { state: "open" },
    lastHeardAt: 0,
    request: vi.fn(),
    tell: vi.fn(),
    start: vi.fn(),
    close: vi.fn(),
    learn: vi.fn(),
    since: vi.fn(() => [] as EventFrame[]),
    now: () => t0,
  };
  const live = new Live(qc, me.id, (o) => {
    options = o;
    return socket as unknown as OmniSocket;
  });
  if (!options) throw new Error("no socket was made");
  const o = options;
  let offset = 0;
  const event = (type: string, data: unknown) =>
    o.onEvent({ type, data, topic: "group/g1", offset: ++offset, at: t0 } as EventFrame);
  const thread = () => qc.getQueryData<Thread>(keys.thread("i1"));
  const find = () => live.find("i1");
  return { qc, live, socket, event, options: o, thread, find };
}

function known(s: ReturnType<typeof setup>) {
  const i = interaction();
  s.qc.setQueryData(keys.interaction("i1"), i);
  s.qc.setQueryData<ListData>(keys.list({ view: "unassigned", state: "open" }), {
    pages: [page([i])],
    pageParams: [""],
  });
  s.qc.setQueryData<ListData>(keys.list({ view: "mine", state: "open" }), { pages: [page([])], pageParams: [""] });
  s.qc.setQueryData<Counts>(keys.counts, { mine: 0, unassigned: 1, all: 1 });
  s.qc.setQueryData<Thread>(keys.thread("i1"), { items: [message(1), message(2), message(3)], hasMore: false });
  return s;
}

beforeEach(() => {
  vi.useFakeTimers({ now: t0 });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("events", () => {
  it("RT3 a new message goes into thread, row and preview", () => {
    const s = known(setup());
    s.event("message.created", message(4, { payload: { type: "text", text: "new" } }));
    expect(s.thread()?.items.at(-1)?.payload.text).toBe("new");
    expect(s.find()).toMatchObject({ lastPreview: "new", unread: 1, lastSeq: 4 });
  });

  it("RT7 a status before its message waits for it", () => {
    const s = known(setup());
    s.event("message.status", { messageId: "m4", interactionId: "i1", status: "delivered", at: t0 });
    s.event("message.created", message(4, { direction: "OUTBOUND", status: "queued" }));
    expect(s.thread()?.items.at(-1)?.status).toBe("delivered");
  });

  it("CL1 a claim moves the row between views and the counts with it", () => {
    const s = known(setup());
    s.event("interaction.assigned", { interactionId: "i1", version: 2, owner: { type: "User", id: me.id }, by: me.id });
    const ids = (view: "mine" | "unassigned") =>
      s.qc.getQueryData<ListData>(keys.list({ view, state: "open" }))?.pages[0]?.items.map((i) => i.id);
    expect(ids("unassigned")).toEqual([]);
    expect(ids("mine")).toEqual(["i1"]);
    expect(s.qc.getQueryData(keys.counts)).toEqual({ mine: 1, unassigned: 0, all: 1 });
  });

  it("reads an interaction that it does not know, once, and shows it", async () => {
    const s = setup();
    s.qc.setQueryData<ListData>(keys.list({ view: "all", state: "open" }), { pages: [page([])], pageParams: [""] });
    const read = vi.spyOn(api, "interaction").mockResolvedValue({ ...interaction({ lastSeq: 5 }), topics: [] });
    s.event("message.created", message(4));
    s.event("message.created", message(5));
    await vi.advanceTimersByTimeAsync(0);
    expect(read).toHaveBeenCalledTimes(1);
    expect(s.qc.getQueryData<ListData>(keys.list({ view: "all", state: "open" }))?.pages[0]?.items).toHaveLength(1);
  });

  it("RT2 applies what happened while a REST answer was on its way", async () => {
    const s = known(setup());
    const late = { type: "message.created", topic: "group/g1", offset: 8, at: t0, data: message(4) };
    s.socket.since.mockReturnValue([late]);
    vi.spyOn(api, "messages").mockResolvedValue({ items: [message(2), message(3)], hasMore: false, topics: [] });
    s.qc.setQueryData(keys.thread("i1"), await s.live.readThread("i1", new AbortController().signal));
    await vi.advanceTimersByTimeAsync(1);
    expect(s.thread()?.items.map((m) => m.seq)).toEqual([1, 2, 3, 4]);
  });

  it("RT2 a reset reads the open views again and keeps what they show meanwhile", () => {
    const s = known(setup());
    const invalidate = vi.spyOn(s.qc, "invalidateQueries");
    s.options.onReset([{ topic: "group/g1", epoch: "e", offset: 1, state: "reset" }]);
    expect(invalidate.mock.calls.map(([f]) => f?.queryKey)).toEqual([keys.lists, keys.threads, keys.contacts]);
    expect(s.thread()?.items).toHaveLength(3);
  });

  it("CO12 an opt-out reaches the contact at once, SMS and MMS alike", () => {
    const s = known(setup());
    s.qc.setQueryData(keys.contact("c1"), contact);
    const change = { contactId: "c1", address: "+14155550100", optedOut: true, by: "contact" };
    s.event("consent.changed", { ...change, channelType: "MMS" });
    expect(s.qc.getQueryData<Contact>(keys.contact("c1"))?.identities[0]?.optedOutAt).toBe(t0);
    s.event("consent.changed", { ...change, channelType: "SMS", optedOut: false });
    expect(s.qc.getQueryData<Contact>(keys.contact("c1"))?.identities[0]?.optedOutAt).toBeUndefined();
  });

  it("RT8 typing is shown for 8 s at most, and ends with the message", () => {
    const s = known(setup());
    const who = { type: "CONTACT", id: "c1" };
    const typing = { type: "typing", topic: "interaction/i1", at: t0 };
    s.options.onPassing?.({ ...typing, data: { interactionId: "i1", who, until: t0 + 60_000 } });
    expect(useLive.getState().typing.i1).toBeDefined();
    vi.advanceTimersByTime(8000);
    expect(useLive.getState().typing.i1).toBeUndefined();
    s.options.onPassing?.({ ...typing, data: { interactionId: "i1", who, until: t0 + 60_000 } });
    s.event("message.created", message(4));
    expect(useLive.getState().typing.i1).toBeUndefined();
    s.options.onPassing?.({ ...typing, data: { interactionId: "i1", who: { type: "USER", id: me.id }, until: 1 } });
    expect(useLive.getState().typing.i1).toBeUndefined();
  });

  it("ST7 sums up what a reconnect brought, for 4 s", () => {
    const s = known(setup());
    s.options.onConnected?.({} as never, 3);
    s.event("message.created", message(4));
    s.event("message.status", { messageId: "m1", interactionId: "i1", status: "read", at: t0 });
    s.event("message.created", message(5));
    expect(useLive.getState().caughtUp).toEqual({ messages: 2, conversations: 1 });
    expect(useLive.getState().announcement.text).toBe("2 new messages in 1 conversation");
    vi.advanceTimersByTime(4000);
    expect(useLive.getState().caughtUp).toBeUndefined();
  });

  it("AX3 announces new messages of the open conversation, more than three in one", () => {
    const s = known(setup());
    s.live.openConversation("i1");
    s.event("message.created", message(4));
    vi.advanceTimersByTime(300);
    expect(useLive.getState().announcement.text).toBe("Maria Rossi: text 4");
    for (const n of [5, 6, 7, 8]) s.event("message.created", message(n));
    vi.advanceTimersByTime(300);
    expect(useLive.getState().announcement.text).toBe("4 new messages from Maria Rossi");
    s.event("message.created", message(1, { interactionId: "other", id: "x" }));
    vi.advanceTimersByTime(300);
    expect(useLive.getState().announcement.text).toBe("4 new messages from Maria Rossi");
  });
});

describe("sending", () => {
  const pending = () => useLive.getState().pending;

  it("RT6 shows at once, sends in order, each after the answer to the one before", async () => {
    const s = known(setup());
    const answers: ((m: unknown) => void)[] = [];
    s.socket.request.mockImplementation(() => new Promise((resolve) => answers.push(resolve)));
    s.live.send("i1", "one");
    s.live.send("i1", "two");
    expect(pending().map((p) => p.text)).toEqual(["one", "two"]);
    expect(s.socket.request).toHaveBeenCalledTimes(1);
    const [type, data] = s.socket.request.mock.calls[0] ?? [];
    expect(type).toBe("message.send");
    expect(data).toEqual({ interactionId: "i1", clientId: pending()[0]?.clientId, payload: { text: "one" } });
    answers[0]?.(message(4, { direction: "OUTBOUND", status: "queued", clientId: pending()[0]?.clientId ?? "" }));
    await vi.advanceTimersByTimeAsync(0);
    expect(pending().map((p) => p.text)).toEqual(["two"]);
    expect(s.socket.request).toHaveBeenCalledTimes(2);
    expect(s.thread()?.items.at(-1)?.seq).toBe(4);
  });

  it("RT6 sends files by their ids, keeps them with the message, and sends the same ones again", async () => {
    const s = known(setup());
    const files = ["f1", "f2"].map((id) => ({
      id,
      type: "image" as const,
      contentType: "image/png",
      size: 1,
      name: "a.png",
      expiresAt: t0,
    }));
    await vi.advanceTimersByTimeAsync(0);
    s.socket.request.mockRejectedValueOnce(new OmniError({ code: "offline", message: "gone" }));
    s.live.send("i1", "", files);
    await vi.advanceTimersByTimeAsync(0);
    expect(pending()[0]).toMatchObject({ text: "", files });
    for (const seq of [4, 5]) s.socket.request.mockResolvedValueOnce(message(seq, { direction: "OUTBOUND" }));
    s.live.send("i1", "words", files.slice(1));
    await vi.advanceTimersByTimeAsync(0);
    const sent = s.socket.request.mock.calls.map((c) => (c[1] as { payload: unknown }).payload);
    const [first, second] = [{ files: ["f1", "f2"] }, { text: "words", files: ["f2"] }];
    expect(sent).toEqual([first, first, second]);
  });

  it("CO13 keeps a message over a lost connection and sends the same one again", async () => {
    const s = known(setup());
    await vi.advanceTimersByTimeAsync(0);
    s.socket.request.mockRejectedValueOnce(new OmniError({ code: "offline", message: "" }));
    s.live.send("i1", "one");
    await vi.advanceTimersByTimeAsync(0);
    expect(pending()).toHaveLength(1);
    expect(pending()[0]?.error).toBeUndefined();
    const clientId = pending()[0]?.clientId ?? "";
    s.socket.request.mockResolvedValueOnce(message(4, { direction: "OUTBOUND", clientId }));
    s.options.onConnected?.({} as never, 0);
    await vi.advanceTimersByTimeAsync(0);
    expect(s.socket.request.mock.calls.map(([, d]) => d.clientId)).toEqual([clientId, clientId]);
    expect(pending()).toHaveLength(0);
  });

  it("RT6 the event of an own message takes the waiting one's place, even without an answer", async () => {
    const s = known(setup());
    s.socket.request.mockImplementation(() => new Promise(() => undefined));
    s.live.send("i1", "one");
    const clientId = pending()[0]?.clientId ?? "";
    s.event("message.created", message(4, { direction: "OUTBOUND", clientId, status: "queued" }));
    expect(pending()).toHaveLength(0);
    expect(s.thread()?.items.filter((m) => m.clientId === clientId)).toHaveLength(1);
  });

  it("TH5 a refused message keeps its text and its reason, and lets the next one pass", async () => {
    const s = known(setup());
    s.socket.request
      .mockRejectedValueOnce(new OmniError({ code: "opted_out", message: "no" }))
      .mockResolvedValueOnce(message(4, { direction: "OUTBOUND" }));
    s.live.send("i1", "one");
    s.live.send("i1", "two");
    await vi.advanceTimersByTimeAsync(0);
    expect(pending().map((p) => [p.text, p.error?.code])).toEqual([["one", "opted_out"]]);
    s.socket.request.mockResolvedValueOnce(message(5, { direction: "OUTBOUND" }));
    s.live.retry(pending()[0]?.clientId ?? "");
    await vi.advanceTimersByTimeAsync(0);
    expect(pending()).toHaveLength(0);
  });

  it("TH11 reports a read mark again after a lost connection", async () => {
    const s = known(setup());
    s.qc.setQueryData(keys.interaction("i1"), interaction({ agentReadSeq: 1, unread: 2 }));
    s.socket.request.mockRejectedValueOnce(new OmniError({ code: "offline", message: "" })).mockResolvedValueOnce({});
    await s.live.reportRead("i1", 3);
    s.options.onConnected?.({} as never, 0);
    await vi.advanceTimersByTimeAsync(0);
    expect(s.socket.request.mock.calls).toEqual([
      ["message.read", { interactionId: "i1", seq: 3 }],
      ["message.read", { interactionId: "i1", seq: 3 }],
    ]);
    expect(s.find()).toMatchObject({ agentReadSeq: 3, unread: 0 });
  });

  it("CL8 a lost claim shows the interaction as the winner left it", async () => {
    const s = known(setup());
    const theirs = interaction({ version: 2, owner: { type: "User", id: "u-ana" } });
    const conflict = new OmniError({
      code: "conflict",
      message: "",
      details: { interaction: theirs, by: { name: "Ana" } },
    });
    await expect(s.live.act(() => Promise.reject(conflict))).rejects.toBe(conflict);
    expect(s.find()?.owner.id).toBe("u-ana");
  });
});
