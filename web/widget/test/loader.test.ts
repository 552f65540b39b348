import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { mount, type OmniAPI } from "../src/loader/mount";

const server = "https://chat.example";
const config = { publicId: "w1", title: "Harbour", greeting: "Hi", accent: "#ffcc00", online: true };

let answer: () => Promise<Response>;
const fetched = vi.fn();

// Every frame's page is empty.
type Env = { happyDOM: { settings: { enableIframePageLoading: boolean; fetch: { interceptor: unknown } } } };
const { settings } = (window as unknown as Env).happyDOM;
settings.enableIframePageLoading = true;
settings.fetch.interceptor = {
  beforeAsyncRequest: async () => new Response("", { headers: { "Content-Type": "text/html" } }),
};

beforeEach(() => {
  answer = async () => Response.json(config);
  vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
    fetched(url, init);
    return answer();
  });
});

afterEach(async () => {
  document.querySelector("omni-widget")?.remove();
  await settle();
  delete (window as { omni?: unknown }).omni;
  localStorage.clear();
  fetched.mockReset();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const settle = () => vi.waitFor(() => new Promise<void>((r) => queueMicrotask(r)));

function snippet(data: Record<string, string> = {}): HTMLScriptElement {
  const script = document.createElement("script");
  script.src = `${server}/widget/loader.js`;
  Object.assign(script.dataset, { widget: "w1", ...data });
  return script;
}

function parts() {
  const host = document.querySelector("omni-widget");
  const find = <E extends HTMLElement>(id: string) => host?.shadowRoot?.querySelector<E>(`[data-testid=${id}]`) as E;
  return {
    host: host as HTMLElement,
    launcher: find<HTMLButtonElement>("widget-launcher"),
    panel: find("widget-frame"),
    badge: find("widget-badge"),
    get frame() {
      return host?.shadowRoot?.querySelector("iframe") as HTMLIFrameElement | null;
    },
  };
}

const omni = () => (window as unknown as { omni: OmniAPI }).omni;

/** Stands for the panel: what it is told, and what it says. */
function panelOf(frame: HTMLIFrameElement) {
  const told = vi.fn();
  const source = { postMessage: told };
  Object.defineProperty(frame, "contentWindow", { value: source });
  const say = (data: unknown, origin = server, from: unknown = source) => {
    const e = new MessageEvent("message", { data });
    Object.defineProperties(e, { origin: { value: origin }, source: { value: from } });
    window.dispatchEvent(e);
  };
  return { told, say };
}

describe("loader", () => {
  test("WG1 draws the launcher in an open shadow root and makes the frame on first open", async () => {
    await mount(snippet());
    const p = parts();
    expect(p.host.parentElement).toBe(document.documentElement);
    expect(p.launcher.getAttribute("aria-label")).toBe("Open chat");
    expect(p.frame).toBeNull();
    expect(p.panel.hidden).toBe(true);
    p.launcher.click();
    expect(p.panel.hidden).toBe(false);
    expect(p.launcher.getAttribute("aria-expanded")).toBe("true");
    const url = new URL(p.frame?.src ?? "");
    expect(url.origin + url.pathname + url.search).toBe(`${server}/widget/panel?widget=w1`);
    expect(new URLSearchParams(url.hash.slice(1)).get("host")).toBe(location.origin);
  });

  test("WG2 makes one public request and no more before opening", async () => {
    await mount(snippet());
    expect(fetched).toHaveBeenCalledTimes(1);
    const [url, init] = fetched.mock.calls[0] as [string, RequestInit];
    expect(url).toBe(`${server}/livechat/v1/widgets/w1`);
    expect(init.credentials).toBe("omit");
  });

  test("WG1 loads the panel at idle time for a visitor with a conversation, hidden", async () => {
    localStorage.setItem("omni:w1", "1");
    vi.stubGlobal("requestIdleCallback", (f: () => void) => f());
    await mount(snippet());
    expect(parts().frame).not.toBeNull();
    expect(parts().panel.hidden).toBe(true);
  });

  test("WG3 leaves window.omni and no other name", async () => {
    const before = new Set(Object.keys(window));
    await mount(snippet());
    expect(Object.keys(window).filter((k) => !before.has(k))).toEqual(["omni"]);
    expect(document.cookie).toBe("");
  });

  test("WG3 calls made before it loaded are done, listeners first", async () => {
    const ready = vi.fn();
    const opened = vi.fn();
    (window as { omni?: unknown }).omni = [["open"], ["on", "ready", ready], ["on", "open", opened], ["nonsense", 1]];
    await mount(snippet());
    expect(ready).toHaveBeenCalledOnce();
    expect(opened).toHaveBeenCalledOnce();
    expect(parts().panel.hidden).toBe(false);
  });

  test("WG5 open close toggle show hide and on", async () => {
    await mount(snippet());
    const seen: string[] = [];
    const off = omni().on("open", () => seen.push("open"));
    omni().on("close", () => seen.push("close"));
    omni().toggle();
    omni().open();
    omni().toggle();
    off();
    omni().open();
    omni().hide();
    expect(seen).toEqual(["open", "close", "close"]);
    expect(parts().launcher.hidden).toBe(true);
    omni().show();
    expect(parts().launcher.hidden).toBe(false);
    const late = vi.fn();
    omni().on("ready", late);
    await settle();
    expect(late).toHaveBeenCalledOnce();
  });

  test("M7 hears only its own frame at its own origin", async () => {
    await mount(snippet());
    omni().open();
    const { badge, frame } = parts();
    const panel = panelOf(frame as HTMLIFrameElement);
    panel.say({ omni: 1, type: "unread", count: 3 }, "https://evil.example");
    panel.say({ omni: 1, type: "unread", count: 3 }, server, window);
    panel.say({ type: "unread", count: 3 });
    panel.say(null);
    omni().close();
    expect(badge.hidden).toBe(true);
    panel.say({ omni: 1, type: "unread", count: 3 });
    expect(badge.hidden).toBe(false);
    expect(badge.textContent).toBe("3");
    expect(parts().launcher.getAttribute("aria-label")).toBe("Open chat, 3 unread");
  });

  test("M7 tells the frame at our origin alone, and never anything secret", async () => {
    localStorage.setItem("token", "secret");
    await mount(snippet());
    omni().prefill("Hello");
    omni().open();
    const panel = panelOf(parts().frame as HTMLIFrameElement);
    panel.say({ omni: 1, type: "ready" });
    omni().setTheme("dark");
    omni().close();
    for (const [, origin] of panel.told.mock.calls) expect(origin).toBe(server);
    expect(panel.told.mock.calls.map(([m]) => m)).toEqual([
      { omni: 1, type: "theme", theme: "auto" },
      { omni: 1, type: "prefill", text: "Hello" },
      { omni: 1, type: "show", full: false },
      { omni: 1, type: "theme", theme: "dark" },
      { omni: 1, type: "hide" },
    ]);
  });

  test("the panel's close and Escape close it", async () => {
    await mount(snippet());
    omni().open();
    const panel = panelOf(parts().frame as HTMLIFrameElement);
    panel.say({ omni: 1, type: "close" });
    expect(parts().panel.hidden).toBe(true);
    omni().open();
    parts().launcher.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    expect(parts().panel.hidden).toBe(true);
  });

  test("WG6 a dead server leaves no launcher and no error", async () => {
    answer = async () => new Response("", { status: 503 });
    const error = vi.fn();
    (window as { omni?: unknown }).omni = [["on", "error", error], ["open"]];
    await mount(snippet());
    expect(document.querySelector("omni-widget")).toBeNull();
    expect(error).toHaveBeenCalledOnce();
    omni().open();
    omni().close();
    omni().prefill("x");
  });

  test("WG6 nonsense for a configuration leaves no launcher", async () => {
    answer = async () => new Response("<html>", { status: 200 });
    await mount(snippet());
    expect(document.querySelector("omni-widget")).toBeNull();
  });

  test("WG6 a panel that never answers takes the launcher away", async () => {
    vi.useFakeTimers();
    await mount(snippet());
    omni().open();
    await vi.advanceTimersByTimeAsync(20_000);
    expect(document.querySelector("omni-widget")).toBeNull();
  });

  test("WG6 removing the node stops everything", async () => {
    await mount(snippet());
    omni().open();
    const { host, frame } = parts();
    const panel = panelOf(frame as HTMLIFrameElement);
    host.remove();
    await settle();
    const unread = vi.fn();
    omni().on("unread", unread);
    panel.say({ omni: 1, type: "unread", count: 1 });
    omni().open();
    expect(unread).not.toHaveBeenCalled();
    expect(document.querySelector("omni-widget")).toBeNull();
  });

  test("a second snippet, and a page that owns the name, change nothing", async () => {
    await mount(snippet());
    await mount(snippet());
    expect(document.querySelectorAll("omni-widget")).toHaveLength(1);
    document.querySelector("omni-widget")?.remove();
    (window as { omni?: unknown }).omni = "the page's own";
    await mount(snippet());
    expect(document.querySelector("omni-widget")).toBeNull();
    expect((window as { omni?: unknown }).omni).toBe("the page's own");
  });

  test("9.2 the text on the launcher is computed from the accent", async () => {
    await mount(snippet());
    const root = parts().launcher.parentElement as HTMLElement;
    expect(root.style.getPropertyValue("--a")).toBe("#ffcc00");
    expect(root.style.getPropertyValue("--t")).toBe("#000000");
  });

  test("9.2 what fills the screen is modal, and the page gets its focus back", async () => {
    const listeners: (() => void)[] = [];
    vi.stubGlobal("matchMedia", (q: string) => ({
      matches: q.includes("max-width"),
      addEventListener: (_: string, f: () => void) => listeners.push(f),
    }));
    await mount(snippet());
    omni().open();
    expect(parts().panel.getAttribute("aria-modal")).toBe("true");
    expect(document.body.inert).toBe(true);
    omni().close();
    expect(document.body.inert).toBe(false);
  });

  test("WG1 the flag of a conversation holds nothing else", async () => {
    await mount(snippet());
    omni().open();
    const panel = panelOf(parts().frame as HTMLIFrameElement);
    panel.say({ omni: 1, type: "keep", keep: true });
    expect({ ...localStorage }).toEqual({ "omni:w1": "1" });
    panel.say({ omni: 1, type: "keep", keep: false });
    expect(localStorage.length).toBe(0);
  });
});
