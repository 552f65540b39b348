import { readFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Frame,
  type Locator,
  type Page,
} from "playwright-core";
import { afterAll, beforeEach, expect, onTestFailed } from "vitest";
import { Line } from "./line";
import { needed, Program } from "./program";

/** How long a test waits for something that must come. */
export const patience = 15_000;

const artifacts = join(import.meta.dirname, "artifacts");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
flags.push("--disable-background-networking", "--disable-component-update", "--disable-sync");

/** A picture of one pixel. */
export const png = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==",
  "base64",
);

/** Waits until what `read` gives is `want`. */
export async function becomes<T>(read: () => Promise<T> | T, want: T, why = ""): Promise<void> {
  await expect.poll(read, { timeout: patience, interval: 25, message: why }).toEqual(want);
}

export const by = (on: Page | Frame | Locator, id: string): Locator => on.locator(`[data-testid="${id}"]`);

/** Somebody in front of a browser of their own, with a line of their own. */
export interface Person {
  page: Page;
  context: BrowserContext;
  line: Line;
  /** What must not happen: errors of scripts, violations of a content security policy, dialogs. */
  faults: string[];
  /** What the browser reports of requests that failed; with a cut line that is as it should be. */
  failedRequests: string[];
  /** How many sockets the page has opened. */
  sockets: number;
}

/** One program, one browser, and the people of one test file. */
export class Stage {
  private constructor(
    readonly program: Program,
    private readonly browser: Browser,
  ) {}

  private readonly people: Person[] = [];

  /** Call it once in a test file's describe or top level. */
  static async open(): Promise<Stage> {
    const browser = await chromium.launch({ executablePath: needed("OMNI_CHROMIUM"), args: flags });
    const program = await Program.start().catch(async (e) => {
      await browser.close();
      throw e;
    });
    const stage = new Stage(program, browser);
    beforeEach((t) => {
      onTestFailed(() => stage.keepPictures(`${t.task.file.name.replace(/^.*\//, "")} ${t.task.name}`));
    });
    afterAll(async () => {
      await browser.close();
      await Promise.all(stage.people.map((p) => p.line.close()));
      await program.stop();
    });
    return stage;
  }

  get url(): string {
    return this.program.url;
  }

  async person(options: BrowserContextOptions = {}): Promise<Person> {
    const line = await Line.open();
    const context = await this.browser.newContext({
      viewport: { width: 1440, height: 900 },
      locale: "en-GB",
      reducedMotion: "reduce",
      proxy: line.proxy,
      ...options,
    });
    context.setDefaultTimeout(patience);
    await context.addInitScript(remember);
    const page = await context.newPage();
    const person: Person = { page, context, line, faults: [], failedRequests: [], sockets: 0 };
    page.on("websocket", () => {
      person.sockets++;
    });
    page.on("pageerror", (e) => person.faults.push(`${e}`));
    page.on("dialog", (d) => {
      person.faults.push(`dialog: ${d.message()}`);
      void d.dismiss();
    });
    page.on("console", (m) => {
      if (m.type() !== "error" && !m.text().includes("Content Security Policy")) return;
      // Pages without an icon, such as that of readiness, are asked for one all the same.
      if (m.location().url.endsWith("/favicon.ico")) return;
      const request = /^(Failed to load resource|WebSocket connection to)/.test(m.text());
      (request ? person.failedRequests : person.faults).push(`${m.text()} ${m.location().url}`);
    });
    this.people.push(person);
    return person;
  }

  /** An agent, logged in by the printed link: 0 is Ana, the admin; 1 is Ben. */
  async agent(which: 0 | 1, options: BrowserContextOptions = {}): Promise<Person> {
    const person = await this.person(options);
    await person.page.goto(this.program.logins[which] ?? "");
    await live(person.page);
    return person;
  }

  /** A visitor of the demo website who opened the chat. */
  async visitor(options: BrowserContextOptions = {}): Promise<Person & { panel: Frame }> {
    const person = await this.person(options);
    await person.page.goto(`${this.url}/demo`);
    await by(person.page, "widget-launcher").click();
    return Object.assign(person, { panel: await panelOf(person.page) });
  }

  private async keepPictures(test: string): Promise<void> {
    await mkdir(artifacts, { recursive: true });
    for (const [n, p] of this.people.entries()) {
      if (p.page.isClosed()) continue;
      const path = join(artifacts, `${test} ${n}.png`.replace(/[^\w.-]+/g, "-"));
      await p.page.screenshot({ path, timeout: 5000 }).catch((e) => console.error(`no picture of ${test}: ${e}`));
    }
  }
}

/** Runs in every page: notes when frames of the socket came, so that the way to the screen can be measured. */
function remember(): void {
  const Native = window.WebSocket;
  const heard: { at: number; text: string }[] = [];
  Object.assign(window, { heard });
  window.WebSocket = class extends Native {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      this.addEventListener("message", (e) =>
        heard.push({ at: performance.timeOrigin + performance.now(), text: `${e.data}` }),
      );
    }
  };
}

/** The console shows that it is connected and up to date. */
export async function live(page: Page): Promise<void> {
  await page.locator('[data-testid="connection-dot"][data-state="live"]').waitFor();
}

/** The panel's frame, once its composer stands. */
export async function panelOf(page: Page): Promise<Frame> {
  const element = await page.locator('[data-testid="widget-frame"] iframe').elementHandle();
  const frame = await element?.contentFrame();
  if (!frame) throw new Error("the widget has no frame");
  await by(frame, "widget-input").waitFor();
  return frame;
}

// ---- the console

export const row = (page: Page, text: string) => by(page, "conversation-row").filter({ hasText: text });

/** Opens a conversation out of the list of all. */
export async function open(page: Page, text: string): Promise<void> {
  await by(page, "tab-all").click();
  await row(page, text).first().click();
  await by(page, "conversation-header").filter({ hasText: text }).waitFor();
}

/** Writes into the console's composer and sends. */
export async function answer(page: Page, text: string): Promise<void> {
  await by(page, "composer").fill(text);
  await by(page, "composer").press("Enter");
}

export const bubble = (page: Page, text: string) =>
  by(page, "message").filter({ has: page.getByText(text, { exact: true }) });

/**
 * All of the open conversation from its beginning to its end, as one who scrolls through it sees it: who wrote, and
 * what. The console keeps only what is near the view in the document.
 */
export function wholeThread(page: Page): Promise<{ mine: boolean; text: string }[]> {
  return page.evaluate(async () => {
    const scroller = document.querySelector('[data-testid="thread"] [data-virtuoso-scroller]');
    if (!scroller) throw new Error("no thread is open");
    const painted = () => new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok)));
    for (let still = 0; still < 5; ) {
      const height = scroller.scrollHeight;
      scroller.scrollTop = 0;
      await painted();
      still = scroller.scrollTop === 0 && scroller.scrollHeight === height ? still + 1 : 0;
    }
    const seen = new Map<string, { mine: boolean; text: string }>();
    for (let still = 0; still < 5; ) {
      const before = seen.size;
      for (const el of scroller.querySelectorAll<HTMLElement>("[data-entry]")) {
        const text = el.querySelector('[data-testid="message-text"]')?.textContent ?? "";
        seen.set(el.dataset.entry ?? "", { mine: el.dataset.direction === "OUTBOUND", text });
      }
      scroller.scrollTop += scroller.clientHeight / 2;
      await painted();
      const end = scroller.scrollTop + scroller.clientHeight >= scroller.scrollHeight - 1;
      still = end && seen.size === before ? still + 1 : 0;
    }
    return [...seen.values()];
  });
}

// ---- the widget

export async function write(panel: Frame, text: string): Promise<void> {
  await by(panel, "widget-input").fill(text);
  await by(panel, "widget-input").press("Enter");
}

export function widgetThread(panel: Frame): Promise<{ mine: boolean; text: string }[]> {
  return by(panel, "widget-message").evaluateAll((all) =>
    all.map((el) => ({
      mine: (el as HTMLElement).dataset.direction === "in",
      text: el.querySelector('[data-testid="widget-message-text"]')?.textContent ?? "",
    })),
  );
}

// ---- accessibility

const axeSource = readFileSync(
  createRequire(new URL("../../web/package.json", import.meta.url)).resolve("axe-core/axe.min.js"),
  "utf8",
);

/** What axe finds wrong in a page or frame by WCAG 2.2 A and AA. */
export async function faultsByAxe(on: Page | Frame): Promise<string[]> {
  // Through the debugger, because the page's own policy allows no script but its own.
  await on.evaluate(axeSource);
  return on.evaluate(async () => {
    const { axe } = window as unknown as { axe: typeof import("axe-core") };
    const found = await axe.run(document, {
      iframes: false,
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
      rules: { "target-size": { enabled: true } },
    });
    return found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(" | ")}`);
  });
}
