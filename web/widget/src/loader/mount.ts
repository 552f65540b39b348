import { onAccent, safeAccent } from "../accent";
import { isTheme, type Theme, type ToHost, type ToPanel } from "../bridge";
import { launcherCSS } from "./style";

/** What `window.omni` is once the loader runs. Before that it may be an array of calls: `omni.push(['open'])`. */
export interface OmniAPI {
  open(): void;
  close(): void;
  toggle(): void;
  /** show and hide are about the launcher; hide closes the panel too. */
  show(): void;
  hide(): void;
  setTheme(theme: Theme): void;
  /** Puts text in the empty composer; nothing is sent. */
  prefill(text: string): void;
  /** Events: ready open close unread(count) message sent error. Returns what takes the listener away. */
  on(event: string, listener: (detail?: unknown) => void): () => void;
  push(...calls: [keyof OmniAPI, ...unknown[]][]): void;
}

interface Config {
  title: string;
  accent: string;
}

/** A panel that has not answered by then never will: the launcher goes. */
const panelTimeout = 20_000;
const configTimeout = 10_000;

/**
 * Puts the widget on the page that holds script. Whatever goes wrong stays in here: without an answer of the server
 * there is no launcher, and the page never sees an error of ours.
 */
export async function mount(script: HTMLScriptElement): Promise<void> {
  const { widget, side, theme, label, offsetX, offsetY, zIndex } = script.dataset;
  const omni = (window as { omni?: unknown }).omni;
  // A second copy of the snippet, or a page that took the name for something else: leave both alone.
  if (!widget || (omni && !Array.isArray(omni))) return;
  const early = (omni as [keyof OmniAPI, ...unknown[]][] | undefined) ?? [];

  const origin = new URL(script.src).origin;
  const flag = `omni:${widget}`;
  const bus = new EventTarget();
  const life = new AbortController();
  const listen = { signal: life.signal };
  const full = matchMedia("(max-width:479.98px),(max-height:499.98px)");

  let ui: ReturnType<typeof build> | undefined;
  let frame: HTMLIFrameElement | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let colours: Theme = isTheme(theme) ? theme : "auto";
  let isOpen = false;
  let isReady = false; // the panel answered
  let isShown = true; // the launcher
  let inertBody: HTMLElement | undefined;
  let unread = 0;
  let text: string | undefined; // for the composer, once the panel is there
  let heldReady = false;

  const emit = (name: string, detail?: unknown) => bus.dispatchEvent(new CustomEvent(name, { detail }));

  const post = (m: ToPanel) => {
    if (isReady) frame?.contentWindow?.postMessage(m, origin);
  };

  const paint = () => {
    if (!ui) return;
    const { root, button, badge, panel } = ui;
    const fills = isOpen && full.matches;
    root.className = `${fills ? "f" : ""} ${isReady ? "r" : ""}`;
    root.style.setProperty("--p", dark() ? "#16181d" : "#ffffff");
    button.hidden = !isShown;
    button.setAttribute("aria-expanded", String(isOpen));
    button.setAttribute(
      "aria-label",
      isOpen ? "Close chat" : `${label || "Open chat"}${unread ? `, ${unread} unread` : ""}`,
    );
    ui.icon.setAttribute("d", isOpen ? "M6 9l6 6 6-6" : "M21 12a8 8 0 0 1-8 8H4l2-3a8 8 0 1 1 15-5z");
    badge.hidden = isOpen || !unread;
    badge.textContent = unread > 99 ? "99+" : String(unread);
    panel.hidden = !isOpen;
    panel.setAttribute("aria-modal", String(fills));
    // What fills the screen is modal: the page behind it takes no focus until the panel closes.
    const body = document.body;
    if (fills && body && !body.inert) {
      body.inert = true;
      inertBody = body;
    } else if (!fills && inertBody) {
      inertBody.inert = false;
      inertBody = undefined;
    }
    fit();
  };

  const dark = () => colours === "dark" || (colours === "auto" && matchMedia("(prefers-color-scheme:dark)").matches);

  // A software keyboard covers the page without making it smaller; only the visual viewport tells.
  const fit = () => {
    const v = window.visualViewport;
    if (!ui || !v || !isOpen || !full.matches) return;
    ui.root.style.setProperty("--y", `${v.offsetTop}px`);
    ui.root.style.setProperty("--h", `${v.height}px`);
  };

  const load = () => {
    if (frame || !ui) return;
    frame = document.createElement("iframe");
    frame.title = ui.title;
    frame.allow = "clipboard-write";
    frame.src = `${origin}/widget/panel?widget=${encodeURIComponent(widget)}#host=${encodeURIComponent(location.origin)}&theme=${colours}`;
    ui.panel.append(frame);
    timer = setTimeout(() => {
      api.close();
      stop();
      emit("error");
    }, panelTimeout);
  };

  const stop = () => {
    life.abort();
    clearTimeout(timer);
    isOpen = false;
    paint();
    ui?.host.remove();
    ui = frame = undefined;
  };

  const api: OmniAPI = {
    open() {
      if (!ui || isOpen) return;
      isOpen = true;
      load();
      paint();
      frame?.focus();
      post({ omni: 1, type: "show", full: full.matches });
      emit("open");
    },
    close() {
      if (!ui || !isOpen) return;
      // Only who was in here is sent back to the launcher; a page that closes us does not lose its own focus.
      const hadFocus = ui.shadow.activeElement;
      isOpen = false;
      paint();
      post({ omni: 1, type: "hide" });
      if (hadFocus) ui.button.focus();
      emit("close");
    },
    toggle: () => (isOpen ? api.close() : api.open()),
    show() {
      isShown = true;
      paint();
    },
    hide() {
      api.close();
      isShown = false;
      paint();
    },
    setTheme(t) {
      if (!isTheme(t)) return;
      colours = t;
      paint();
      post({ omni: 1, type: "theme", theme: t });
    },
    prefill(t) {
      text = String(t);
      post({ omni: 1, type: "prefill", text });
    },
    on(name, listener) {
      // An event target reports an error of the page's listener as the page's own and goes on with the next one.
      const heard = (e: Event) => listener((e as CustomEvent).detail ?? undefined);
      bus.addEventListener(name, heard);
      if (name === "ready" && heldReady) queueMicrotask(() => listener());
      return () => bus.removeEventListener(name, heard);
    },
    push(...calls) {
      for (const call of calls) {
        try {
          const [name, ...args] = call;
          (api[name] as (...args: unknown[]) => unknown)(...args);
        } catch {
          // A call that we do not know is not the page's disaster.
        }
      }
    },
  };
  (window as { omni?: unknown }).omni = api;
  // Listeners first: an early `on` shall hear what an early `open` does.
  const isOn = (c: unknown) => Array.isArray(c) && c[0] === "on";
  api.push(...early.filter(isOn));

  let config: Config;
  try {
    const answer = await fetch(`${origin}/livechat/v1/widgets/${encodeURIComponent(widget)}`, {
      credentials: "omit",
      signal: AbortSignal.timeout(configTimeout),
    });
    if (!answer.ok) throw answer.status;
    config = await answer.json();
    ui = build(config, { side, x: offsetX, y: offsetY, zIndex, label });
  } catch {
    emit("error");
    return;
  }

  ui.button.addEventListener("click", () => api.toggle(), listen);
  ui.root.addEventListener("keydown", (e) => e.key === "Escape" && api.close(), listen);
  full.addEventListener(
    "change",
    () => {
      paint();
      if (isOpen) post({ omni: 1, type: "show", full: full.matches });
    },
    listen,
  );
  matchMedia("(prefers-color-scheme:dark)").addEventListener("change", paint, listen);
  window.visualViewport?.addEventListener("resize", fit, listen);
  window.visualViewport?.addEventListener("scroll", fit, listen);
  addEventListener(
    "message",
    (e: MessageEvent) => {
      const m = e.data as ToHost | undefined;
      if (!frame || e.source !== frame.contentWindow || e.origin !== origin || m?.omni !== 1) return;
      if (m.type === "ready") {
        clearTimeout(timer);
        isReady = true;
        paint();
        post({ omni: 1, type: "theme", theme: colours });
        if (text !== undefined) post({ omni: 1, type: "prefill", text });
        if (isOpen) post({ omni: 1, type: "show", full: full.matches });
      } else if (m.type === "close") {
        api.close();
      } else if (m.type === "unread") {
        unread = Number(m.count) || 0;
        paint();
        emit("unread", unread);
      } else if (m.type === "keep") {
        remember(flag, m.keep);
      } else if (m.type === "event") {
        emit(m.name);
      }
    },
    listen,
  );

  // Whoever takes our node away wants us gone: no listener and no frame, hence no socket, is left.
  const gone = new MutationObserver(() => ui && !ui.host.isConnected && stop());
  gone.observe(document.documentElement, { childList: true });
  life.signal.addEventListener("abort", () => gone.disconnect());

  paint();
  // A child of <html>: a transform on <body> does not catch what is fixed in here, and pages that swap their body keep us.
  document.documentElement.append(ui.host);
  heldReady = true;
  emit("ready");
  api.push(...early.filter((c) => !isOn(c)));
  if (remembered(flag)) {
    if ("requestIdleCallback" in window) requestIdleCallback(() => load(), { timeout: 5000 });
    else setTimeout(load, 1000);
  }
}

type Settings = Partial<Record<"side" | "x" | "y" | "zIndex" | "label", string>>;

/** Makes all nodes, without touching the page. */
function build(config: Config, s: Settings) {
  const number = (v: string | undefined, or: number) => {
    const n = Number.parseInt(v ?? "", 10);
    return n >= 0 ? n : or;
  };
  const accent = safeAccent(config.accent);
  const title = config.title || "Chat";
  const host = document.createElement("omni-widget");
  const shadow = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(
    launcherCSS({
      side: s.side === "left" ? "left" : "right",
      x: number(s.x, 20),
      y: number(s.y, 20),
      zIndex: number(s.zIndex, 2147483000),
    }),
  );
  shadow.adoptedStyleSheets = [sheet];

  const root = document.createElement("div");
  root.style.setProperty("--a", accent);
  root.style.setProperty("--t", onAccent(accent));

  const panel = document.createElement("div");
  panel.className = "p";
  panel.setAttribute("role", "dialog");
  panel.setAttribute("aria-label", title);
  panel.dataset.testid = "widget-frame";

  const button = document.createElement("button");
  button.type = "button";
  button.className = "b";
  button.dataset.testid = "widget-launcher";
  button.setAttribute("aria-haspopup", "dialog");
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const icon = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.append(icon);
  button.append(svg);
  if (s.label) button.append(s.label);
  const badge = document.createElement("span");
  badge.className = "n";
  badge.setAttribute("aria-hidden", "true");
  badge.dataset.testid = "widget-badge";
  button.append(badge);

  root.append(panel, button);
  shadow.append(root);
  return { host, shadow, root, button, badge, panel, icon, title };
}

// The flag says only that there is something to load; the session lives in the frame's own storage.
function remember(flag: string, keep: boolean): void {
  try {
    if (keep) localStorage.setItem(flag, "1");
    else localStorage.removeItem(flag);
  } catch {
    // A page without storage: the panel is loaded when it is opened.
  }
}

function remembered(flag: string): boolean {
  try {
    return localStorage.getItem(flag) === "1";
  } catch {
    return false;
  }
}
