import { type Message, OmniError, type Status } from "@omni/shared";
import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Bubble } from "../src/inbox/Bubble";
import { Composer } from "../src/inbox/Composer";
import { ContactPanel } from "../src/inbox/ContactPanel";
import { countText } from "../src/inbox/ConversationList";
import type { Entry } from "../src/inbox/entries";
import { Freshness } from "../src/inbox/Freshness";
import { Row } from "../src/inbox/Row";
import { keys } from "../src/live/keys";
import type { Live } from "../src/live/live";
import { useLive } from "../src/live/store";
import { initials } from "../src/ui/Avatar";
import { ErrorBoundary } from "../src/ui/ErrorBoundary";
import { useDrafts } from "../src/ui/prefs";
import { channel, contact, interaction, me, message, show, t0 } from "./make";

beforeEach(() => {
  useDrafts.setState({ drafts: {}, userId: me.id });
  useLive.setState({ pending: [], typing: {}, socket: { state: "open" }, downSince: 0, lastHeardAt: t0 });
});

describe("row", () => {
  const row = (over = {}) => <Row interaction={interaction(over)} href="/x" open={false} tabStop />;

  it("CL2 AX2 says person, channel, unread, waiting, preview, time and owner in its name", () => {
    show(row({ unread: 2, waitingSince: t0 - 240_000, owner: { type: "User", id: "u-ana" } }));
    const link = screen.getByRole("link", { name: /^Maria Rossi/ });
    for (const words of ["SMS", "waiting5m", "1m", "Hello there", "Billing", "Owner: Ana Novak", "2 unread"]) {
      expect(link.textContent).toContain(words);
    }
  });

  it("CL2 shows whose the last word is, and a draft before it", () => {
    show(row({ lastDirection: "OUTBOUND" }));
    expect(screen.getByText("You:")).toBeTruthy();
    act(() => useDrafts.getState().set("i1", "half a sen"));
    expect(screen.getByText("Draft:")).toBeTruthy();
    expect(screen.getByText("half a sen")).toBeTruthy();
  });

  it("names a person without a name by the number, as it is read", () => {
    show(row({ contactName: "" }));
    expect(screen.getByText("+1 415 555 0100")).toBeTruthy();
    expect(initials("+1 415")).toBe("");
    expect(initials("Maria da Rossi")).toBe("MR");
  });

  it("CL1 counts are exact up to 99", () => {
    expect([undefined, 0, 99, 100].map(countText)).toEqual(["", "0", "99", "99+"]);
  });
});

describe("bubble", () => {
  const entry = (over: Partial<Entry>): Entry => ({
    key: "k",
    at: t0,
    day: false,
    isNew: false,
    first: true,
    last: true,
    ...over,
  });
  const bubble = (over: Partial<Entry>, receipts = true, more: { reactions?: boolean; me?: string } = {}) => (
    <Bubble entry={entry(over)} contact="Maria Rossi" contactId="c1" agent="Ana Novak" receipts={receipts} {...more} />
  );
  const out = (status: Status, over = {}) => message(1, { direction: "OUTBOUND", status, ...over });

  it.each([
    ["queued", "Queued"],
    ["unknown", "Sent, outcome not known"],
    ["sent", "Sent"],
    ["delivered", "Delivered"],
    ["read", "Read"],
    ["failed", "Not delivered"],
    ["undeliverable", "Not delivered"],
  ] as const)("TH4 %s is said in words", (status, words) => {
    show(bubble({ message: out(status) }));
    expect(within(screen.getByTestId("status")).getByText(words)).toBeTruthy();
    expect(screen.getByRole("article").getAttribute("aria-label")).toContain(words);
    expect(screen.getByRole("article").getAttribute("aria-label")).toContain("Ana Novak");
  });

  it("TH4 says when a channel reports no delivery", () => {
    show(bubble({ message: out("sent") }, false));
    expect(screen.getByTitle("Sent. This channel reports no delivery.")).toBeTruthy();
  });

  it("TH5 a failure gives its reason in words and the carrier's code behind details", () => {
    show(bubble({ message: out("failed", { errorText: "The recipient has opted out.", errorCode: "21610" }) }));
    expect(screen.getByText("The recipient has opted out.")).toBeTruthy();
    expect(screen.getByText("Details").closest("details")?.open).toBe(false);
    expect(screen.getByText(/21610/)).toBeTruthy();
  });

  it("TH5 a refused message offers only what can help", async () => {
    const live = { retry: vi.fn(), discard: vi.fn() };
    const pending = (code: "opted_out" | "invalid") => ({
      clientId: "p1",
      interactionId: "i1",
      text: "kept text",
      at: t0,
      error: new OmniError({ code, message: "why" }),
    });
    const { unmount } = show(bubble({ pending: pending("opted_out") }), live);
    expect(screen.queryByText("Retry")).toBeNull();
    unmount();
    show(bubble({ pending: pending("invalid") }), live);
    await userEvent.click(screen.getByText("Edit"));
    expect(live.discard).toHaveBeenCalledWith("p1");
    expect(useDrafts.getState().drafts.i1).toBe("kept text");
  });

  it("TH6 shows a file as a card, and names what it cannot show", () => {
    const file = { type: "document" as const, state: "pending" as const, name: "bill.pdf", size: 12_000 };
    const { unmount } = show(bubble({ message: message(1, { payload: { type: "media", files: [file] } }) }));
    expect(screen.getByTestId("file-card").textContent).toContain("bill.pdf");
    expect(screen.getByTestId("file-card").textContent).toContain("Is being fetched");
    unmount();
    show(bubble({ message: message(1, { payload: { type: "unsupported", unsupported: "poll" } }) }));
    expect(screen.getByText("Not supported: poll")).toBeTruthy();
  });

  it("TH6 shows a place and contacts, each as text, and a map only as a link", () => {
    const location = { latitude: -1.2921, longitude: 36.8219, name: "Office", address: "Kimathi Street" };
    const { unmount } = show(
      bubble({ message: message(1, { payload: { type: "location", text: "Office", location } }) }),
    );
    expect(screen.getByTestId("place").textContent).toContain("OfficeKimathi Street");
    const map = screen.getByText("Show on OpenStreetMap") as HTMLAnchorElement;
    expect(map.href).toBe("https://www.openstreetmap.org/?mlat=-1.2921&mlon=36.8219#map=17/-1.2921/36.8219");
    expect(map.rel).toContain("noopener");
    expect(screen.queryByTestId("message-text")).toBeNull();
    unmount();
    const contacts = [{ name: "<b>Ana</b>", phones: ["+254711222333"] }, { name: "Ben" }];
    show(bubble({ message: message(1, { payload: { type: "contacts", text: "Ana", contacts } }) }));
    expect(screen.getAllByTestId("contact-card").map((c) => c.textContent)).toEqual(["<b>Ana</b>+254711222333", "Ben"]);
  });

  it("shows what was taken back or changed, and reactions that can be changed where the channel can", async () => {
    const gone = message(1, { payload: { type: "text" }, deletedAt: t0, editedAt: t0 });
    const { unmount } = show(bubble({ message: gone }));
    expect(screen.getByTestId("deleted").textContent).toContain("Taken back");
    expect(screen.getByText("Edited")).toBeTruthy();
    expect(screen.queryByTestId("reactions")).toBeNull();
    unmount();
    const react = vi.fn(async () => {});
    const reactions = [{ senderType: "USER" as const, senderId: "u-me", emoji: "👍", at: t0 }];
    const m = message(1, { reactions });
    const first = show(bubble({ message: m }));
    expect((screen.getByText("👍") as HTMLButtonElement).disabled).toBe(true);
    first.unmount();
    show(bubble({ message: m }, true, { reactions: true, me: "u-me" }), { react });
    await userEvent.click(screen.getByLabelText("React"));
    await userEvent.click(screen.getByLabelText("React with ❤️"));
    expect(react).toHaveBeenLastCalledWith("m1", "❤️");
    await userEvent.click(screen.getByText("👍"));
    expect(react).toHaveBeenLastCalledWith("m1", "");
  });

  it("TH6 shows a picture that is here, and asks for its link once events told of it without one", async () => {
    const file = { id: "f1", type: "image" as const, state: "ready" as const };
    const m = message(1, { payload: { type: "image", files: [file] } });
    const withLink = (url: string): Message => ({
      ...m,
      payload: { type: "image", files: [{ ...file, url, urlUntil: t0 + 600_000 }] },
    });
    const readFiles = vi.fn(async () => withLink("/media/o/m1/f1?e=1&s=a"));
    const live = { readFiles, socket: { now: () => t0 + 600_000 } } as unknown as Partial<Live>;
    const { unmount } = show(bubble({ message: m }), live);
    expect(screen.getByTestId("file-card")).toBeTruthy();
    await waitFor(() => expect(readFiles).toHaveBeenCalledExactlyOnceWith(m));
    unmount();

    show(bubble({ message: withLink("/media/o/m1/f1?e=1&s=a") }), live);
    const picture = screen.getByRole("img", { name: /^Image from Maria Rossi/ });
    expect(picture.getAttribute("src")).toBe("/media/o/m1/f1?e=1&s=a");
    expect(readFiles).toHaveBeenCalledTimes(1);
    fireEvent.error(picture);
    expect(screen.queryByRole("img", { name: /^Image from/ })).toBeNull();
    await waitFor(() => expect(readFiles).toHaveBeenCalledTimes(2));
  });

  it("TH6 plays a recording where it is, and says why a file is not here", () => {
    const ready = { type: "audio" as const, state: "ready" as const, name: "note.mp3", url: "/media/o/m/f?e=1&s=a" };
    const { unmount } = show(bubble({ message: message(1, { payload: { type: "media", files: [ready] } }) }));
    expect(screen.getByLabelText("note.mp3").getAttribute("src")).toBe(ready.url);
    unmount();
    const gone = { type: "image" as const, state: "failed" as const, failure: "It is larger than 25 MB." };
    show(bubble({ message: message(1, { payload: { type: "image", files: [gone] } }) }));
    expect(screen.getByTestId("file-card").textContent).toContain("It is larger than 25 MB.");
  });

  it("M5 M6 text of others stays text, and its links are of allowed kinds", () => {
    const hostile = [
      "<img src=x onerror=alert(1)>",
      "<script>alert(1)</script>",
      "javascript:alert(1)",
      'https://ok.example/"onmouseover="alert(1)',
      "[x](javascript:alert(1))",
    ];
    const { container } = show(
      bubble({ message: message(1, { payload: { type: "text", text: hostile.join("\n") } }) }),
    );
    expect(container.querySelector("script, img")).toBeNull();
    for (const a of container.querySelectorAll("a")) {
      expect(a.getAttribute("href")).toMatch(/^(https?|mailto|tel):/);
      expect(a.getAttribute("rel")).toBe("noopener noreferrer");
      expect(a.getAttributeNames().some((n) => n.startsWith("on"))).toBe(false);
    }
    expect(screen.getByTestId("message-text").textContent).toBe(hostile.join("\n"));
  });

  it("M5 a file's URL with another scheme is not a link", () => {
    const file = { type: "image" as const, state: "ready" as const, url: "javascript:alert(1)" };
    const { container } = show(bubble({ message: message(1, { payload: { type: "image", files: [file] } }) }));
    expect(container.querySelector("a, img")).toBeNull();
  });
});

describe("composer", () => {
  const box = () => screen.getByRole("textbox", { name: "Reply to Maria Rossi" });

  it("CO10 Enter sends, Shift+Enter breaks the line", async () => {
    const { live } = show(<Composer interaction={interaction()} />);
    await userEvent.type(box(), "one{Shift>}{Enter}{/Shift}two{Enter}");
    expect(live.send).toHaveBeenCalledExactlyOnceWith("i1", "one\ntwo");
    expect(box()).toHaveProperty("value", "");
  });

  it("CO10 Enter during a composition does not send", () => {
    const { live } = show(<Composer interaction={interaction()} />);
    fireEvent.change(box(), { target: { value: "にほん" } });
    fireEvent.compositionStart(box());
    fireEvent.keyDown(box(), { key: "Enter", isComposing: true });
    fireEvent.keyDown(box(), { key: "Enter" });
    fireEvent.compositionEnd(box());
    // Safari: the composition has ended, and the key says 229.
    fireEvent.keyDown(box(), { key: "Enter", keyCode: 229 });
    expect(live.send).not.toHaveBeenCalled();
    fireEvent.keyDown(box(), { key: "Enter", keyCode: 13 });
    expect(live.send).toHaveBeenCalledTimes(1);
  });

  it("keeps a draft per conversation, also over a reload", () => {
    const { unmount } = show(<Composer interaction={interaction()} />);
    fireEvent.change(box(), { target: { value: "draft" } });
    unmount();
    useDrafts.setState({ drafts: {}, userId: "" });
    useDrafts.getState().load(me.id);
    show(<Composer interaction={interaction()} />);
    expect(box()).toHaveProperty("value", "draft");
  });

  it("sends neither nothing nor more than the channel takes", async () => {
    const { live } = show(<Composer interaction={interaction()} />);
    fireEvent.change(box(), { target: { value: "   " } });
    fireEvent.keyDown(box(), { key: "Enter" });
    fireEvent.change(box(), { target: { value: "x".repeat(18) } });
    expect(screen.getByText("2 characters left")).toBeTruthy();
    fireEvent.change(box(), { target: { value: "x".repeat(21) } });
    fireEvent.keyDown(box(), { key: "Enter" });
    expect(screen.getByRole("alert").textContent).toBe("1 character too many for this channel");
    expect(screen.getByTestId("send")).toHaveProperty("disabled", true);
    expect(live.send).not.toHaveBeenCalled();
  });

  it("CO5 counts the SMS of a text, and offers plainer signs where they make fewer", async () => {
    show(<Composer interaction={interaction()} />);
    expect(screen.queryByTestId("sms-count")).toBeNull();
    fireEvent.change(box(), { target: { value: " it\u2019s " } });
    expect(screen.getByTestId("sms-count").textContent).toBe("4 characters, 1 message");
    expect(screen.queryByTestId("sms-replace")).toBeNull();
    const text = `It\u2019s \u201chere\u201d\u00a0\u2026 ${"x".repeat(130)}`;
    fireEvent.change(box(), { target: { value: text } });
    expect(screen.getByTestId("sms-count").textContent).toBe("144 characters, 3 messages");
    const offer = screen.getByRole("button", {
      name: "Send as 1 message instead of 3: replace \u2019 \u201c \u201d \u2423 \u2026",
    });
    await userEvent.click(offer);
    expect(box()).toHaveProperty("value", `It's "here" ... ${"x".repeat(130)}`);
    expect(document.activeElement).toBe(box());
    expect(screen.queryByTestId("sms-replace")).toBeNull();
    fireEvent.change(box(), { target: { value: `\u2019${"\u0436".repeat(80)}` } });
    expect(screen.queryByTestId("sms-replace"), "it would be Unicode all the same").toBeNull();
  });

  it("CO5 sends no text of more SMS than the channel takes", () => {
    const { qc, live } = show(<Composer interaction={interaction()} />);
    act(() => {
      const short = { ...channel, capabilities: { ...channel.capabilities, maxTextLength: 300, maxSegments: 2 } };
      qc.setQueryData(keys.channels, [short]);
    });
    fireEvent.change(box(), { target: { value: "\u0436".repeat(135) } });
    fireEvent.keyDown(box(), { key: "Enter" });
    expect(screen.getByRole("alert").textContent).toBe("1 SMS too many for this channel");
    expect(screen.getByTestId("send")).toHaveProperty("disabled", true);
    expect(live.send).not.toHaveBeenCalled();
    fireEvent.change(box(), { target: { value: "x".repeat(300) } });
    fireEvent.keyDown(box(), { key: "Enter" });
    expect(live.send).toHaveBeenCalledTimes(1);
  });

  it("CO5 counts no SMS where there are none", () => {
    const { qc } = show(<Composer interaction={interaction()} />);
    act(() => {
      const whole = { ...channel, capabilities: { ...channel.capabilities, segmented: false } };
      qc.setQueryData(keys.channels, [whole]);
    });
    fireEvent.change(box(), { target: { value: "hello" } });
    expect(screen.queryByTestId("sms-count")).toBeNull();
  });

  it("CO12 an opted-out identity has a statement in place of the box, at once, and the draft stays", async () => {
    const { qc } = show(<Composer interaction={interaction()} />);
    fireEvent.change(box(), { target: { value: "my draft" } });
    act(() => {
      qc.setQueryData(keys.contact("c1"), {
        ...contact,
        identities: [{ id: "x1", channelType: "SMS", address: "+14155550100", optedOutAt: t0 }],
      });
    });
    expect((await screen.findByTestId("composer-opted-out")).textContent).toMatch(
      /Maria Rossi opted out of SMS on Nov 14, 2023/,
    );
    expect(screen.queryByRole("textbox")).toBeNull();
    expect(screen.getByText("my draft")).toBeTruthy();
  });

  it("RT8 typing begins with the first key and stops with sending", async () => {
    const { live } = show(<Composer interaction={interaction()} />);
    await userEvent.type(box(), "ab{Enter}");
    expect(vi.mocked(live.reportTyping).mock.calls).toEqual([
      ["i1", false],
      ["i1", true],
    ]);
  });
});

const fragile = { broken: true };

function Fragile() {
  if (fragile.broken) throw new Error("boom");
  return <p>fine</p>;
}

describe("states", () => {
  it("ST4 ST5 the footer tells how fresh the screen is", () => {
    vi.useFakeTimers({ now: t0 });
    try {
      show(<Freshness />);
      const footer = screen.getByTestId("freshness");
      expect(footer.textContent).toBe("Up to date");
      act(() => useLive.setState({ socket: { state: "waiting", attempt: 1, retryAt: 0 }, downSince: t0 }));
      expect(footer.textContent).toBe("Up to date");
      act(() => vi.advanceTimersByTime(2001));
      expect(footer.textContent).toMatch(/^Reconnecting… last update /);
      act(() => vi.advanceTimersByTime(8001));
      expect(footer.dataset.state).toBe("offline");
      act(() => useLive.setState({ socket: { state: "open" }, downSince: 0 }));
      expect(footer.textContent).toBe("Up to date");
    } finally {
      vi.useRealTimers();
    }
  });

  it("ST13 a crash stays in its part, and can be tried again", async () => {
    vi.spyOn(console, "error").mockImplementation(() => undefined);
    show(
      <>
        <ErrorBoundary>
          <Fragile />
        </ErrorBoundary>
        <p>other</p>
      </>,
    );
    expect(screen.getByRole("alert").textContent).toContain("This part stopped working.");
    expect(screen.getByText("other")).toBeTruthy();
    fragile.broken = false;
    await userEvent.click(screen.getByText("Try again"));
    expect(screen.getByText("fine")).toBeTruthy();
    vi.restoreAllMocks();
  });

  it("shows identities with their consent", async () => {
    const { qc } = show(<ContactPanel conversationId="i1" />);
    act(() => {
      qc.setQueryData(keys.interaction("i1"), interaction());
      qc.setQueryData(keys.contact("c1"), {
        ...contact,
        identities: [
          ...contact.identities,
          { id: "x2", channelType: "WhatsApp", address: "14155550100", optedOutAt: t0 },
        ],
      });
    });
    expect((await screen.findAllByTestId("identity")).map((li) => li.textContent)).toEqual([
      "+1 415 555 0100SMSMay be written to",
      "+1 415 555 0100WhatsAppOpted out Nov 14, 2023",
    ]);
  });
});
