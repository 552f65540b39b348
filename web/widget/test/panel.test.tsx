import { type MediaFile, OmniError } from "@omni/shared";
import { signal } from "@preact/signals";
import { render } from "preact";
import { act } from "preact/test-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { announcer } from "../src/panel/announce";
import type { Chat } from "../src/panel/chat";
import { textOf } from "../src/panel/message";
import { Panel } from "../src/panel/panel";
import { memoryKeep } from "../src/panel/storage";
import { Backend } from "./backend";

let b: Backend;
let root: HTMLElement;
const draft = signal("");
const shown = signal(true);
const close = vi.fn();

beforeEach(() => {
  vi.useFakeTimers({ now: Date.UTC(2026, 2, 9, 14, 0) });
  b = new Backend();
  draft.value = "";
  shown.value = true;
  root = document.createElement("div");
  document.body.append(root);
});
afterEach(() => {
  render(null, root);
  root.remove();
  close.mockReset();
  vi.useRealTimers();
});

const settle = (ms = 0) =>
  act(async () => {
    await vi.advanceTimersByTimeAsync(ms);
  });
const all = (id: string) => [...root.querySelectorAll<HTMLElement>(`[data-testid=${id}]`)];
const one = <E extends HTMLElement = HTMLElement>(id: string) => all(id)[0] as E;
const shownTexts = () => all("widget-message-text").map((e) => e.textContent);
const statuses = () => all("widget-message-status").map((e) => e.textContent?.split(" · ")[1]);

async function panel(): Promise<Chat> {
  const chat = b.chat(memoryKeep());
  const voice = announcer();
  chat.onArrival = (m) => voice.message(m.senderName ?? "", textOf(m));
  await chat.start();
  await act(() => render(<Panel {...{ chat, draft, shown, close }} full={signal(false)} announcer={voice} />, root));
  chat.connect();
  await settle();
  return chat;
}

async function write(text: string) {
  const field = one<HTMLTextAreaElement>("widget-input");
  field.value = text;
  await act(() => void field.dispatchEvent(new Event("input", { bubbles: true })));
}

const press = (init: KeyboardEventInit & { keyCode?: number }) =>
  act(() => {
    const e = new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...init });
    if (init.keyCode) Object.defineProperty(e, "keyCode", { value: init.keyCode });
    one("widget-input").dispatchEvent(e);
  });

describe("M5 text", () => {
  const hostile = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    '"><svg/onload=alert(1)>',
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "<a href='javascript:alert(1)'>click</a>",
    "{{constructor.constructor('alert(1)')()}}",
    "&lt;b&gt;",
    "\u202Egnp.exe",
    'https://x.example/"onmouseover="alert(1)',
  ];

  test.each(hostile)("%s is shown as it is", async (text) => {
    b.add("OUTBOUND", text, { senderName: text });
    b.add("INBOUND", text);
    b.config = { ...(b.config as NonNullable<typeof b.config>), title: text, greeting: text };
    await panel();
    expect(shownTexts()).toEqual([text, text]);
    expect(one("widget-title").textContent).toBe(text);
    expect(one("widget-greeting").textContent).toBe(text);
    expect(
      root.querySelector("script, img, [onerror], [onload], [onmouseover], a[href^='javascript'], a[href^='data']"),
    ).toBeNull();
  });

  test("links go to http, https, mailto and tel only, in a new window that knows nothing of us", async () => {
    b.add(
      "OUTBOUND",
      "See https://a.example/x?y=1. http://b.example ftp://c.example, mail me@d.example or call +49 30 1234567",
    );
    await panel();
    const links = [...root.querySelectorAll("a")];
    expect(links.map((a) => a.getAttribute("href"))).toEqual([
      "https://a.example/x?y=1",
      "http://b.example",
      "mailto:me@d.example",
      "tel:+49301234567",
    ]);
    for (const a of links) {
      expect(a.rel).toBe("noopener noreferrer");
      expect(a.target).toBe("_blank");
    }
  });

  test("a kind that we cannot show is named", async () => {
    b.add("OUTBOUND", "", { payload: { type: "unsupported", unsupported: "poll" } });
    b.add("OUTBOUND", "", {
      payload: { type: "image", files: [{ type: "image", name: "chair.jpg", state: "ready" }] },
    });
    await panel();
    expect(shownTexts()).toEqual(["Not supported here: poll", "[chair.jpg]"]);
  });
});

describe("files of the team", () => {
  const file = (more: Partial<MediaFile> = {}): MediaFile => ({
    id: "f1",
    type: "image",
    contentType: "image/png",
    name: "chair.png",
    size: 12_000,
    state: "ready",
    ...more,
  });
  const linked = (n: number, forMs = 600_000) => ({ url: `/media/${n}`, urlUntil: Date.now() + forMs });
  const files = () => all("widget-file") as HTMLAnchorElement[];
  /** An agent sends a file; the event has no link, REST has. */
  const send = (f: MediaFile, more: Partial<MediaFile> = linked(1), text = "") => {
    const m = b.add("OUTBOUND", text, { payload: { type: "image", text, files: [{ ...f, ...more }] } });
    b.event("message.created", { ...m, payload: { type: "image", text, files: [f] } });
    return m;
  };

  test("a picture that comes live is shown, by a link that is read once", async () => {
    await panel();
    await act(() => void send(file(), linked(1), "look"));
    await settle();
    expect(shownTexts()).toEqual(["look"]);
    const [a] = files();
    expect(a?.getAttribute("href")).toBe("/media/1");
    expect(a?.rel).toBe("noopener noreferrer");
    expect(a?.querySelector("img")?.getAttribute("src")).toBe("/media/1");
    expect(a?.querySelector("img")?.alt).toMatch(/^Image from Ana, /);
    expect(b.requests.filter((r) => r === "GET messages?after=0&limit=1")).toHaveLength(1);
  });

  test("films and recordings are played, anything else is a link with name and size", async () => {
    send(file({ type: "video" }));
    send(file({ type: "audio", id: "f2" }));
    send(file({ type: "document", id: "f3", name: "bill.pdf" }));
    await panel();
    expect(root.querySelector("video")?.getAttribute("aria-label")).toBe("chair.png");
    expect(root.querySelector("audio")?.getAttribute("src")).toBe("/media/1");
    expect(files().map((f) => f.textContent)).toEqual(["bill.pdf · 12 kB"]);
    expect(shownTexts()).toEqual([]);
  });

  test("M5 an address that is no link of ours is none", async () => {
    send(file(), { url: "javascript:alert(1)", urlUntil: Date.now() + 600_000 });
    send(file({ id: "f2" }), { url: "//evil.example/x", urlUntil: Date.now() + 600_000 });
    await panel();
    expect(root.querySelector("img")).toBeNull();
    expect(files().map((f) => f.getAttribute("href"))).toEqual([null, null]);
    expect(files().map((f) => f.textContent)).toEqual(["chair.png · 12 kB", "chair.png · 12 kB"]);
  });

  test("a link that has ended is renewed before it is followed", async () => {
    const m = send(file({ type: "document" }), linked(1, 1000));
    await panel();
    const opened = vi.fn((e: Event) => e.preventDefault());
    root.addEventListener("click", (e) => e.defaultPrevented || opened(e));
    m.payload = { ...m.payload, files: [{ ...file({ type: "document" }), ...linked(2) }] };
    const click = new MouseEvent("click", { bubbles: true, cancelable: true });
    Object.defineProperty(click, "isTrusted", { value: true });
    await act(() => void files()[0]?.dispatchEvent(click));
    expect(click.defaultPrevented).toBe(true);
    await settle();
    expect(files()[0]?.getAttribute("href")).toBe("/media/2");
    expect(opened).toHaveBeenCalledTimes(1);
  });

  test("a picture that cannot be had is tried once more, then named", async () => {
    const m = send(file());
    await panel();
    const fail = () => act(() => void root.querySelector("img")?.dispatchEvent(new Event("error")));
    m.payload = { ...m.payload, files: [{ ...file(), ...linked(2) }] };
    await fail();
    await settle();
    expect(root.querySelector("img")?.getAttribute("src")).toBe("/media/2");
    await fail();
    await settle();
    expect(root.querySelector("img")).toBeNull();
    expect(files()[0]?.textContent).toContain("chair.png");
  });
});

describe("WG10 what is sent", () => {
  test("Enter sends, and the composer is empty and in focus", async () => {
    await panel();
    await write("Hello");
    await press({ key: "Enter" });
    await settle();
    expect(b.sent()).toEqual(["Hello"]);
    expect(one<HTMLTextAreaElement>("widget-input").value).toBe("");
    expect(document.activeElement).toBe(one("widget-input"));
  });

  test.each([
    ["Shift and Enter", { key: "Enter", shiftKey: true }],
    ["Enter while an input method composes", { key: "Enter", isComposing: true }],
    ["Enter as some browsers give it then", { key: "Enter", keyCode: 229 }],
  ])("%s does not send", async (_, key) => {
    await panel();
    await write("안녕");
    await press(key);
    await settle();
    expect(b.sent()).toEqual([]);
    expect(draft.value).toBe("안녕");
  });

  test("goes from Sending to Sent to Seen with its time, in one and the same bubble", async () => {
    const chat = await panel();
    b.cut();
    await write("Hello");
    await press({ key: "Enter" });
    await settle();
    const bubble = one("widget-message");
    expect(statuses()).toEqual(["Waiting for the connection"]);
    await act(() => b.open());
    await settle();
    expect(statuses()).toEqual(["Sent"]);
    expect(one("widget-message")).toBe(bubble);
    await act(() => b.event("interaction.updated", { agentReadSeq: 1 }, Date.UTC(2026, 2, 9, 14, 3)));
    expect(statuses()[0]).toMatch(/^Seen \d?\d:03/);
    expect(chat.seen.value.seq).toBe(1);
  });

  test("only the last sent and the last seen carry a status", async () => {
    for (const t of ["one", "two", "three"]) b.add("INBOUND", t);
    b.agentReadSeq = 2;
    await panel();
    expect(all("widget-message").map((e) => e.textContent?.match(/Seen|Sent/)?.[0])).toEqual([
      undefined,
      "Seen",
      "Sent",
    ]);
  });

  test("a failure says why and offers to try again", async () => {
    await panel();
    b.refuse = new OmniError({ code: "invalid", message: "The text is too long." });
    await write("Hello");
    await press({ key: "Enter" });
    await settle();
    expect(one("widget-message-failed").getAttribute("role")).toBe("alert");
    expect(one("widget-message-failed").textContent).toContain("The text is too long.");
    b.refuse = undefined;
    await act(() => one("widget-retry").click());
    await settle();
    expect(all("widget-message-failed")).toEqual([]);
    expect(statuses()).toEqual(["Sent"]);
  });

  test("typing is told at most every 3 s, and its end", async () => {
    await panel();
    for (let i = 0; i < 5; i++) {
      await write("x".repeat(i + 1));
      await settle(500);
    }
    await settle(6000);
    expect(b.commands).toEqual([
      { type: "typing", data: {} },
      { type: "typing", data: { stop: true } },
    ]);
  });
});

describe("WG11 the connection", () => {
  test("is spoken of only when it has been away for 2 s", async () => {
    await panel();
    await act(() => b.cut());
    await settle(1900);
    expect(all("widget-offline")).toEqual([]);
    await settle(200);
    expect(one("widget-offline").textContent).toContain("No connection since");
    await act(() => one("widget-reconnect").click());
    await settle();
    expect(all("widget-offline")).toEqual([]);
  });
});

describe("WG13 announcements", () => {
  test("typing is shown and said, at most every 5 s", async () => {
    const voice = announcer();
    voice.typing("Ana", 0);
    expect(voice.said.value).toBe("Ana is typing");
    voice.typing("Ben", 4999);
    expect(voice.said.value).toBe("Ana is typing");
    voice.typing("Ben", 5000);
    expect(voice.said.value).toBe("Ben is typing");
    await panel();
    await act(() => b.event("typing", { who: { type: "USER", name: "Ana" }, until: 1 }));
    expect(one("widget-typing").textContent).toContain("Ana is typing");
  });

  test("AX3 new messages are said once, cut, and summed up when there are many; history is not", async () => {
    b.add("OUTBOUND", "old");
    await panel();
    await settle(1000);
    expect(one("widget-announcer").textContent).toBe("");
    await act(() => void b.reply("x".repeat(300)));
    await settle(400);
    expect(one("widget-announcer").textContent).toBe(`Ana: ${"x".repeat(200)}`);
    await act(() => {
      for (let i = 0; i < 4; i++) b.reply(String(i));
    });
    await settle(400);
    expect(one("widget-announcer").textContent).toBe("4 new messages");
    expect(one("widget-timeline").hasAttribute("aria-live")).toBe(false);
  });

  test("AX3 each message is an article with sender and time", async () => {
    b.add("INBOUND", "one");
    b.add("OUTBOUND", "two");
    await panel();
    const names = all("widget-message").map((e) => [e.tagName, e.getAttribute("aria-label")]);
    expect(names).toEqual([
      ["ARTICLE", expect.stringMatching(/^You, .*2026/)],
      ["ARTICLE", expect.stringMatching(/^Ana, .*2026/)],
    ]);
  });
});

describe("reading", () => {
  test("counts only while the panel is on the screen", async () => {
    shown.value = false;
    const chat = await panel();
    await act(() => void b.reply("one"));
    expect(chat.unread.value).toBe(1);
    await act(() => {
      shown.value = true;
    });
    await settle();
    expect(chat.unread.value).toBe(0);
    expect(b.commands).toEqual([{ type: "message.read", data: { seq: 1 } }]);
  });
});

describe("WG7 screens", () => {
  test("chat comes at once, with greeting, availability and a way to close", async () => {
    await panel();
    expect(one("widget-greeting").textContent).toBe("Hi there");
    expect(one("widget-availability").textContent).toBe("We are online");
    await act(() => b.event("availability", { online: false }));
    expect(one("widget-availability").textContent).toContain("We are away");
    one("widget-close").click();
    expect(close).toHaveBeenCalledOnce();
    expect(document.activeElement).toBe(one("widget-input"));
  });

  test("an error offers to try again", async () => {
    const { config } = b;
    b.config = undefined;
    await panel();
    expect(one("widget-error").textContent).toContain("cannot be reached");
    b.config = config;
    await act(() => one("widget-error-retry").click());
    await settle();
    expect(all("widget-error")).toEqual([]);
    expect(one("widget-input")).toBeTruthy();
  });
});
