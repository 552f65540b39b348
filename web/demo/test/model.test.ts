import { describe, expect, test } from "vitest";
import type { Outbound, Reachable } from "../src/simulator/api";
import { carriers, channels, loadSent, number, type Sent, saveSent, thread } from "../src/simulator/model";

const maria = "+15551230001";
const sent = (more: Partial<Sent> = {}): Sent => ({
  id: "s",
  at: 1,
  state: "accepted",
  carrier: "Test",
  channelType: "SMS",
  from: maria,
  text: "hi",
  ...more,
});
const got = (more: Partial<Outbound> = {}): Outbound => ({
  id: "g",
  channelType: "SMS",
  text: "hello",
  at: 2,
  status: "delivered",
  ...more,
});

describe("carriers", () => {
  const all: Reachable[] = [
    { carrier: "Test", channelType: "SMS", address: "+1" },
    { carrier: "Twilio", channelType: "SMS", address: "+1" },
    { carrier: "Twilio", channelType: "WhatsApp", address: "+2" },
    { carrier: "PubNub", channelType: "PubNub", address: "x" },
  ];

  test("are the Test carrier and those that are played", () => {
    expect(carriers([])).toEqual(["Test"]);
    expect(carriers(all)).toEqual(["Test", "Twilio", "PubNub"]);
  });

  test("have the channels that the demo has", () => {
    expect(channels(all, "Test")).toEqual(["SMS", "MMS", "WhatsApp"]);
    expect(channels(all, "Twilio")).toEqual(["SMS", "WhatsApp"]);
    expect(channels(all, "PubNub")).toEqual(["PubNub"]);
  });
});

describe("the thread on the phone", () => {
  test("is by time and holds one customer and one channel", () => {
    const rows = thread(
      [
        sent({ id: "b", at: 3 }),
        sent({ id: "a" }),
        sent({ id: "other", from: "+1" }),
        sent({ id: "wa", channelType: "WhatsApp" }),
        sent({ id: "tw", carrier: "Twilio" }),
      ],
      [got(), got({ id: "gw", channelType: "WhatsApp" })],
      "Test",
      maria,
      "SMS",
    );
    expect(rows.map((r) => r.key)).toEqual(["a", "g", "b"]);
  });

  test("an MMS stands among the SMS of its number", () => {
    const rows = thread([sent({ channelType: "MMS", mediaUrl: "https://x.example/a.jpg" })], [], "Test", maria, "SMS");
    expect(rows).toMatchObject([{ media: ["https://x.example/a.jpg"], state: "Handed to the carrier, MMS" }]);
  });

  test.each([
    [sent({ state: "sending" }), "Sending", false],
    [sent(), "Handed to the carrier", false],
    [
      sent({ fragments: 3, duplicates: 2, delayMs: 1500 }),
      "Handed to the carrier, in 3 parts, 3 times, after 1.5 s",
      false,
    ],
    [sent({ state: "refused", why: "no such channel" }), "Not delivered: no such channel", true],
  ])("says how what was sent went (%#)", (s, state, failed) => {
    expect(thread([s], [], "Test", maria, "SMS")).toMatchObject([{ state, failed, mine: true }]);
  });

  test.each([
    ["read", "Reported as read", false],
    ["failed", "Reported as failed", true],
    ["undeliverable", "Reported as undeliverable", true],
    ["something new", "something new", false],
  ])("says what the carrier reported: %s", (status, state, failed) => {
    expect(thread([], [got({ status })], "Test", maria, "SMS")).toMatchObject([{ state, failed, mine: false }]);
  });
});

test("a failure names the carrier's code", () => {
  expect(thread([], [got({ status: "failed", errorCode: "30008" })], "Test", maria, "SMS")[0]?.state).toBe(
    "Reported as failed (30008)",
  );
});

test.each([
  ["+1 (555) 123-4567", "+15551234567"],
  ["+49 30 1234567", "+49301234567"],
  ["5551234567", undefined],
  ["+0123456789", undefined],
  ["+1555123456789012345", undefined],
  ["", undefined],
])("a number is %s", (input, want) => {
  expect(number(input).number).toBe(want);
  expect(number(input).why === undefined).toBe(want !== undefined);
});

test("what was sent outlives a reload; what was on its way is not known any more", () => {
  sessionStorage.clear();
  saveSent([sent(), sent({ id: "t", state: "sending" })]);
  expect(loadSent().map((s) => s.state)).toEqual(["accepted", "refused"]);
  sessionStorage.setItem("omni.simulator", "{");
  expect(loadSent()).toEqual([]);
});
