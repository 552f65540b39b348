// What strangers send, and the pages that the widget stands on, may be as bad as they like.
import type { Frame, Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { answer, becomes, by, live, panelOf, patience, Stage, widgetThread, write } from "./people";

const stage = await Stage.open();

// Each would call ran() or ask for /ran if it were taken for more than text.
const payloads = [
  "<script>ran()</script>",
  "<ScRiPt src=/ran></ScRiPt>",
  "<script>fetch('/ran')</script>",
  '<img src=x onerror="ran()">',
  "<img src=/ran>",
  "<svg onload=ran()>",
  "<svg><script>ran()</script></svg>",
  '"><script>ran()</script>',
  "'><img src=x onerror=ran()>",
  "</textarea><script>ran()</script>",
  "</title><script>ran()</script>",
  "</style><script>ran()</script>",
  "<iframe src=javascript:ran()></iframe>",
  '<iframe srcdoc="<script>parent.ran()</script>"></iframe>',
  '<a href="javascript:ran()">press here</a>',
  "javascript:ran()",
  "javascript://example.com/%0Aran()",
  "data:text/html,<script>ran()</script>",
  'https://example.com/" onmouseover="ran()',
  "https://example.com/<script>ran()</script>",
  '<body onload="ran()">',
  "<details open ontoggle=ran()>",
  "<input autofocus onfocus=ran()>",
  "<video><source onerror=ran()></video>",
  "<math><mi xlink:href=javascript:ran()>x</mi></math>",
  '<meta http-equiv="refresh" content="0;url=/ran">',
  '<link rel="stylesheet" href="/ran">',
  "<base href=/ran/>",
  "{{constructor.constructor('ran()')()}}",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: what engines of templates would run
  "${ran()} #{ran()} <%= ran() %>",
  "&lt;script&gt;ran()&lt;/script&gt;",
  "<!--><script>ran()</script>-->",
  "\u202Eevil()nar \u2066ran()",
];

/** Where ran() and /ran are noted. */
async function trapped(page: Page): Promise<string[]> {
  const ran: string[] = [];
  await page.exposeFunction("ran", () => ran.push("ran()"));
  page.on("request", (r) => {
    if (new URL(r.url()).pathname.startsWith("/ran")) ran.push(r.url());
  });
  return ran;
}

/** Links that lead anywhere but to the web, mail and phones, and elements that no text of a stranger may make. */
function odd(on: Page | Frame): Promise<string[]> {
  return on.evaluate(() => {
    const all =
      '[data-testid="thread"] *, [data-testid="conversation-list"] *, [data-testid="contact-panel"] *, [data-testid="widget-timeline"] *';
    return [...document.querySelectorAll(all)]
      .filter(
        (el) =>
          el.matches("script, iframe, img, video, object, embed, base, meta, link, style, input, details[ontoggle]") ||
          el.getAttributeNames().some((a) => a.startsWith("on")) ||
          (el.matches("[data-testid] a[href]") &&
            !/^(https?|mailto|tel):|^\/inbox\//.test(el.getAttribute("href") ?? "")),
      )
      .map((el) => el.outerHTML);
  });
}

/** All that is in the document of the console's list, by scrolling through it. */
async function names(page: Page): Promise<string[]> {
  return page.evaluate(async () => {
    const scroller = document.querySelector('[data-testid="conversation-list"] [data-virtuoso-scroller]');
    if (!scroller) return [];
    const seen = new Map<string, string>();
    scroller.scrollTop = 0;
    for (let still = 0; still < 3; ) {
      await new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok)));
      const before = seen.size;
      for (const el of scroller.querySelectorAll<HTMLElement>("[data-row]")) {
        seen.set(el.dataset.row ?? "", el.querySelector('[dir="auto"]')?.textContent ?? "");
      }
      scroller.scrollTop += 200;
      still = seen.size === before ? still + 1 : 0;
    }
    scroller.scrollTop = 0;
    await new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok)));
    return [...seen.values()];
  });
}

describe("M5 M6 X9 what strangers send", async () => {
  const ana = await stage.agent(0);
  const visitor = await stage.visitor();
  const { panel } = visitor;
  const ran = [await trapped(ana.page), await trapped(visitor.page)];
  await ana.page.reload();
  await live(ana.page);

  it("is text in the console: as what is said, as a name, in list, conversation and contact", async () => {
    const from = (n: number) => `+1555124${String(n).padStart(4, "0")}`;
    await Promise.all(
      payloads.map((text, n) => stage.program.inbound({ from: from(n), channelType: "WhatsApp", name: text, text })),
    );
    await by(ana.page, "tab-all").click();
    await becomes(async () => (await names(ana.page)).length, payloads.length);
    const shown = await names(ana.page);
    // Controls that turn the direction of text are taken out of names.
    for (const p of payloads.slice(0, -1)) expect(shown).toContain(p);
    expect(await odd(ana.page)).toEqual([]);

    await by(ana.page, "conversation-row").first().click();
    const opened = new Set<string>();
    // One after the other; each is open when all three places show the same one.
    const plain = (text: string | null) => (text ?? "").replace(/[\u202E\u2066]/g, "");
    const places = async () => {
      const name = plain(await by(ana.page, "conversation-header").locator("h1").textContent());
      const contact = plain(await by(ana.page, "contact-panel").locator("h2").textContent());
      const text = plain(await by(ana.page, "message-text").first().textContent());
      return name === contact && name === text && !opened.has(name) ? name : "";
    };
    while (opened.size < payloads.length) {
      await expect.poll(places, { timeout: patience, interval: 25 }).not.toBe("");
      opened.add(await places());
      expect(await odd(ana.page)).toEqual([]);
      await ana.page.keyboard.press("j");
    }
    expect([...opened].sort()).toEqual(payloads.map(plain).sort());
  });

  it("is text in both when a visitor and an agent write it", async () => {
    for (const p of payloads) await write(panel, p);
    // The pointer is over the list: nothing moves under it, what is new waits behind a button.
    await by(ana.page, "list-new").click();
    await by(ana.page, "conversation-row").filter({ hasText: "Website visitor" }).click();
    await by(ana.page, "conversation-header").filter({ hasText: "Live chat" }).waitFor();
    for (const p of payloads) await answer(ana.page, p);
    const said = payloads.map((p) => p.trim());
    const texts = async (mine: boolean) =>
      (await widgetThread(panel)).filter((m) => m.mine === mine).map((m) => m.text);
    await becomes(() => texts(true), said);
    await becomes(() => texts(false), said);
    expect(await odd(panel)).toEqual([]);
    expect(await odd(ana.page)).toEqual([]);
  });

  it("runs nothing and asks for nothing", () => {
    expect(ran).toEqual([[], []]);
    expect(ana.faults).toEqual([]);
    expect(visitor.faults).toEqual([]);
  });

  it("would be stopped by the policy of every page, too", async () => {
    for (const path of [
      "/",
      "/login",
      "/widget/panel?widget=demo-website-widget",
      "/demo",
      "/demo/simulator",
      "/docs",
    ]) {
      const answer = await fetch(stage.url + path, { headers: { Accept: "text/html" } });
      const policy = answer.headers.get("Content-Security-Policy") ?? "";
      expect(policy, path).toMatch(/default-src '(self|none)'/);
      expect(policy, path).not.toMatch(/script-src[^;]*unsafe/);
      expect(policy, path).toMatch(/frame-ancestors/);
    }
    const refused = await ana.page.evaluate(
      () =>
        new Promise<string>((ok) => {
          document.addEventListener("securitypolicyviolation", (e) => ok(e.effectiveDirective), { once: true });
          const script = document.createElement("script");
          script.textContent = "ran()";
          document.body.append(script);
        }),
    );
    expect(refused).toMatch(/^script-src/);
    expect(ran).toEqual([[], []]);
  });
});

describe("WG3 WG6 a page that makes it hard for the widget", async () => {
  it("has a chat that works, and hears no error of ours", async () => {
    const visitor = await stage.person();
    const { page } = visitor;
    await page.goto(`${stage.url}/demo/hostile.html`);
    const launcher = by(page, "widget-launcher");
    await launcher.waitFor();
    const box = await launcher.boundingBox();
    expect(box?.width).toBeGreaterThanOrEqual(44);
    expect((box?.x ?? 0) + (box?.width ?? 0)).toBeGreaterThan(1440 - 40);
    expect((box?.y ?? 0) + (box?.height ?? 0)).toBeGreaterThan(900 - 40);
    await launcher.click();
    const panel = await panelOf(page);
    await write(panel, "Do you see me?");
    await becomes(() => widgetThread(panel), [{ mine: true, text: "Do you see me?" }]);
    await by(panel, "widget-message-status").filter({ hasText: "Sent" }).waitFor();
    expect(await by(page, "hostile-errors").innerText()).toBe("0 errors reached this page");
    expect(visitor.faults).toEqual([]);
  });
});
