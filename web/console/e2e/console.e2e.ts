import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { openBrowser, openPage, Program, picture, until } from "./program";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const password = "correct horse battery";

let program: Program;
let browser: Browser;
let ana: Page;
let ben: Page;
let anaFaults: string[];
let benFaults: string[];

const by = (page: Page, id: string) => page.locator(`[data-testid=${id}]`);
const texts = (page: Page) => by(page, "message-text").allInnerTexts();
const row = (page: Page, name: string) => by(page, "conversation-row").filter({ hasText: name });

/** Opens the conversation with a number, in whatever list it is. */
async function open(page: Page, shown: string): Promise<void> {
  await by(page, "tab-all").click();
  await row(page, shown).click();
  await by(page, "conversation-header").filter({ hasText: shown }).waitFor();
}

async function write(page: Page, text: string): Promise<void> {
  await by(page, "composer").fill(text);
  await by(page, "composer").press("Enter");
}

beforeAll(async () => {
  program = await Program.start();
  browser = await openBrowser();
  const a = await openPage(browser);
  const b = await openPage(browser, { colorScheme: "dark", viewport: { width: 1100, height: 800 } });
  [ana, anaFaults, ben, benFaults] = [a.page, a.faults, b.page, b.faults];
  const [anaLink = "", benLink = ""] = program.links();
  await ana.goto(anaLink);
  await ben.goto(benLink);
  await by(ana, "inbox").waitFor();
  await by(ben, "inbox").waitFor();
  // So that the tests can log in again.
  for (const page of [ana, ben]) {
    await page.evaluate(async (secret) => {
      const csrf = /omni_csrf=([^;]+)/.exec(document.cookie)?.[1] ?? "";
      const session = await fetch("/api/v1/auth/refresh", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-CSRF-Token": csrf },
        body: "{}",
      }).then((r) => r.json());
      await fetch("/api/v1/auth/password", {
        method: "POST",
        headers: { "Content-Type": "application/json", Authorization: `Bearer ${session.accessToken}` },
        body: JSON.stringify({ password: secret }),
      });
    }, password);
  }
  for (const [page, email] of [
    [ana, "admin@demo.example"],
    [ben, "ben@demo.example"],
  ] as const) {
    await page.context().clearCookies();
    await page.goto(`${program.url}/login`);
    await page.locator("input[name=email]").fill(email);
    await page.locator("input[name=password]").fill(password);
    await by(page, "login-submit").click();
    await by(page, "inbox").waitFor();
  }
});

afterEach(async (t) => {
  if (t.task.result?.state === "fail") {
    await picture(ana, `${t.task.name.replace(/\W+/g, "-")}-ana`);
    await picture(ben, `${t.task.name.replace(/\W+/g, "-")}-ben`);
  }
});

afterAll(async () => {
  await browser?.close();
  await program?.stop();
});

describe("console", () => {
  it("shows an inbound message without reload, and the answer's way to the phone", async () => {
    await program.inbound("+14155550100", "Hello, where is my order? https://example.com/o?id=1");
    await by(ana, "tab-unassigned").click();
    await row(ana, "+1 415 555 0100").click();
    await until(async () => (await texts(ana)).length === 1);
    expect(await ana.locator("[data-testid=message-text] a").getAttribute("href")).toBe("https://example.com/o?id=1");
    await write(ana, "On its way!");
    await ana.locator("[data-testid=message][data-status=delivered]").waitFor();
    expect(JSON.stringify(await program.outbox("+14155550100"))).toContain("On its way!");
    // Seen for a second: read.
    await until(async () => (await row(ana, "+1 415 555 0100").getAttribute("data-unread")) === null);
  });

  it("CL8 of two agents who claim at once one wins, and the other is told who", async () => {
    await open(ben, "+1 415 555 0100");
    // Neither claim goes out before both are made: else the event of the first takes the other's button away.
    let both: () => void = () => undefined;
    const made = new Promise<void>((resolve) => {
      both = resolve;
    });
    let claims = 0;
    for (const page of [ana, ben]) {
      await page.route("**/claim", async (route) => {
        if (++claims === 2) both();
        await made;
        await route.continue();
      });
    }
    await Promise.all([by(ana, "claim-button").click(), by(ben, "claim-button").click()]);
    await until(
      async () =>
        (await by(ana, "conversation-trouble").count()) + (await by(ben, "conversation-trouble").count()) === 1 &&
        (await by(ana, "claim-button").count()) + (await by(ben, "claim-button").count()) === 0,
    );
    const loser = (await by(ana, "conversation-trouble").count()) > 0 ? ana : ben;
    expect(await by(loser, "conversation-trouble").innerText()).toMatch(/^(Ana Admin|Ben Agent) was first/);
  });

  it("release, assign, resolve and reopen reach the other agent", async () => {
    await by(ana, "owner-button").click();
    await by(ana, "release").click();
    await by(ben, "owner-name").filter({ hasText: "Unassigned" }).waitFor();
    await by(ana, "owner-button").click();
    await by(ana, "assign-user").filter({ hasText: "Ben" }).click();
    await by(ben, "owner-name").filter({ hasText: "You" }).waitFor();
    await by(ben, "resolve").click();
    await by(ana, "conversation-state").filter({ hasText: "Resolved" }).waitFor();
    await until(async () => (await row(ana, "+1 415 555 0100").count()) === 0);
    await by(ana, "reopen").click();
    await by(ben, "conversation-state").filter({ hasText: "Open" }).waitFor();
  });

  it("RT8 shows that a colleague is writing", async () => {
    await by(ben, "composer").pressSequentially("I am");
    await by(ana, "typing").filter({ hasText: "Ben Agent is writing" }).waitFor();
    await by(ben, "composer").fill("");
  });

  it("CO13 ST5-ST7 what is written offline goes out once, in order, and what was missed comes", async () => {
    await ana.context().setOffline(true);
    await write(ana, "offline one");
    await write(ana, "offline two");
    await program.inbound("+14155550100", "meanwhile");
    await ana.locator("[data-testid=freshness][data-state=offline]").waitFor();
    expect(await by(ana, "banner-offline").innerText()).toContain("2 messages will be sent when back");
    await ana.context().setOffline(false);
    await by(ana, "freshness").filter({ hasText: "1 new message in 1 conversation" }).waitFor();
    await until(async () => (await texts(ana)).slice(-3).join("|") === "meanwhile|offline one|offline two");
    await until(async () => (await texts(ben)).slice(-3).join("|") === "meanwhile|offline one|offline two");
  });

  it("RT6 what is written offline survives a reload", async () => {
    await ana.context().setOffline(true);
    await write(ana, "kept over a reload");
    await ana.locator("[data-testid=message][data-status=local]").waitFor();
    const at = ana.url();
    await ana.goto("about:blank");
    await ana.context().setOffline(false);
    await ana.goto(at);
    await until(async () => (await texts(ben)).at(-1) === "kept over a reload");
    await until(async () => (await texts(ana)).filter((x) => x === "kept over a reload").length === 1);
  });

  it("RT4 a restart of the server needs no reload", async () => {
    await by(ana, "composer").fill("draft over a restart");
    await program.halt();
    await ana.locator("[data-testid=freshness][data-state=reconnecting]").waitFor();
    await program.run();
    await ana.locator("[data-testid=freshness][data-state=live]").waitFor({ timeout: 30_000 });
    await program.inbound("+14155550100", "after the restart");
    await until(async () => (await texts(ana)).at(-1) === "after the restart");
    expect(await by(ana, "composer").inputValue()).toBe("draft over a restart");
    await by(ana, "composer").fill("");
  });

  it("CO12 STOP closes the open composer at once, START opens it", async () => {
    await program.inbound("+14155550100", "STOP");
    await by(ana, "composer-opted-out").waitFor();
    await by(ana, "contact-panel").locator("[data-testid=opted-out]").waitFor();
    await program.inbound("+14155550100", "START");
    await by(ana, "composer").waitFor();
  });

  it("M5 M6 runs no script of others", async () => {
    const payloads = [
      "<script>alert(1)</script>",
      '<img src=x onerror="alert(1)">',
      '"><svg onload=alert(1)>',
      "javascript:alert(1)",
      "https://example.com/\"onmouseover='alert(1)'",
      "{{constructor.constructor('alert(1)')()}}",
      "<iframe srcdoc='<script>alert(1)</script>'>",
      "\u202Egnp.exe \u2066 bidi",
      "data:text/html,<script>alert(1)</script>",
      "<a href='jav&#x09;ascript:alert(1)'>x</a>",
    ];
    for (const p of payloads) await program.inbound("+14155550199", p);
    await open(ana, "+1 415 555 0199");
    await until(async () => (await texts(ana)).length === payloads.length);
    for (const a of await ana.locator("[data-testid=message-text] a").all()) {
      expect(await a.getAttribute("href")).toMatch(/^(https?|mailto|tel):/);
    }
    expect(await ana.locator("[data-testid=thread] :is(script, iframe, img)").count()).toBe(0);
    expect(anaFaults).toEqual([]);
  });

  it("TH8 CL5 keeps the place in a long thread while older messages load", async () => {
    for (let n = 1; n <= 120; n++) await program.inbound("+14155550150", `line ${n}`);
    await open(ana, "+1 415 555 0150");
    const first = () => texts(ana).then((all) => all[0]);
    await until(async () => (await texts(ana)).length > 3);
    const scroller = ana.locator("[data-testid=thread] [data-virtuoso-scroller]");
    await until(async () => {
      await scroller.evaluate((el) => el.scrollBy(0, -2000));
      return (await first()) === "line 1";
    });
    await by(ana, "to-end").click();
    await until(async () => (await texts(ana)).at(-1) === "line 120");
    expect(await by(ana, "message").count()).toBeLessThan(100);
  });

  it("keyboard alone: move, reply, resolve, claim, help", async () => {
    await open(ana, "+1 415 555 0150");
    await ana.locator("#thread").focus();
    const header = by(ana, "conversation-header");
    await ana.keyboard.press("j");
    await header.filter({ hasText: "+1 415 555 0199" }).waitFor();
    await ana.keyboard.press("k");
    await header.filter({ hasText: "+1 415 555 0150" }).waitFor();
    await ana.keyboard.press("Shift+A");
    await by(ana, "owner-name").filter({ hasText: "You" }).waitFor();
    await ana.keyboard.press("e");
    await by(ana, "conversation-state").filter({ hasText: "Resolved" }).waitFor();
    await ana.keyboard.press("e");
    await by(ana, "conversation-state").filter({ hasText: "Open" }).waitFor();
    await ana.keyboard.press("r");
    await ana.keyboard.type("typed by keys");
    await ana.keyboard.press("Enter");
    await until(async () => (await texts(ana)).at(-1) === "typed by keys");
    await ana.keyboard.press("Escape");
    await ana.keyboard.press("Shift+Slash");
    await by(ana, "help").waitFor();
    await ana.keyboard.press("Escape");
    await by(ana, "help").waitFor({ state: "detached" });
    await ana.keyboard.press("u");
    await until(() => ana.evaluate(() => document.activeElement?.hasAttribute("data-row") ?? false));
    await ana.keyboard.press("ArrowDown");
    await ana.keyboard.press("Enter");
    await until(() =>
      ana.evaluate(() => location.pathname.endsWith(document.activeElement?.getAttribute("data-row") ?? "-")),
    );
  });

  it("ST10 at the end of the session a login on top, and everything typed stays", async () => {
    await open(ben, "+1 415 555 0100");
    await by(ben, "composer").fill("half a thought");
    // A new password ends every other session of that person.
    const post = async (path: string, body: unknown, token = "") =>
      fetch(`${program.url}/api/v1/auth/${path}`, {
        method: "POST",
        headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
        body: JSON.stringify(body),
      });
    const email = "ben@demo.example";
    const session = await (await post("login", { email, password, programmatic: true })).json();
    const changed = await post("password", { current: password, password }, session.accessToken);
    expect(changed.status).toBe(204);
    await by(ben, "login-form").waitFor();
    expect(await texts(ben)).not.toHaveLength(0);
    await ben.locator("input[name=password]").fill(password);
    await by(ben, "login-submit").click();
    await by(ben, "login-form").waitFor({ state: "detached" });
    expect(await by(ben, "composer").inputValue()).toBe("half a thought");
    await by(ben, "composer").fill("");
    await program.inbound("+14155550100", "live again");
    await until(async () => (await texts(ben)).at(-1) === "live again");
  });

  it("an old login link says so and offers the password", async () => {
    const { page, context } = await openPage(browser);
    await page.goto(`${program.url}/login#token=${"0".repeat(64)}`);
    await by(page, "login-error").filter({ hasText: "no longer works" }).waitFor();
    expect(page.url()).not.toContain("token");
    await context.close();
  });
});

describe("AX axe", () => {
  async function scan(page: Page, what: string): Promise<void> {
    await picture(page, what);
    // Through the debugger: the page's policy allows no script but its own.
    await page.evaluate(axeSource);
    const found = await page.evaluate(async () => {
      const axe = (window as unknown as { axe: typeof import("axe-core") }).axe;
      const r = await axe.run(document, {
        runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
        rules: { "target-size": { enabled: true } },
      });
      return r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html.slice(0, 160)).join(" | ")}`);
    });
    expect(found, what).toEqual([]);
  }

  const schemes = ["light", "dark"] as const;
  const sizes = [
    [1440, 900],
    [820, 900],
    [375, 740],
  ] as const;

  for (const colorScheme of schemes) {
    for (const [width, height] of sizes) {
      it(`${colorScheme} at ${width}`, async () => {
        const { page, context, faults } = await openPage(browser, {
          colorScheme,
          viewport: { width, height },
          reducedMotion: "reduce",
        });
        const name = `${colorScheme}-${width}`;
        await page.goto(`${program.url}/login`);
        await by(page, "login-form").waitFor();
        await scan(page, `${name}-login`);
        await page.locator("input[name=email]").fill("ben@demo.example");
        await page.locator("input[name=password]").fill(password);
        await by(page, "login-submit").click();
        await by(page, "tab-all").click();
        await by(page, "conversation-row").first().waitFor();
        await scan(page, `${name}-list`);
        await row(page, "+1 415 555 0100").click();
        await by(page, "message").first().waitFor();
        await scan(page, `${name}-thread`);
        if (width < 1280) {
          await by(page, "contact-toggle").click();
          await by(page, "contact-panel").waitFor();
          await scan(page, `${name}-contact`);
          await page.keyboard.press("Escape");
          await by(page, "contact-panel").waitFor({ state: "detached" });
        }
        await by(page, "help-button").click();
        await by(page, "help").waitFor();
        await scan(page, `${name}-help`);
        expect(faults).toEqual([]);
        await context.close();
      });
    }
  }

  it("no script or policy fault in the whole run", () => {
    expect(anaFaults).toEqual([]);
    expect(benFaults).toEqual([]);
  });
});
