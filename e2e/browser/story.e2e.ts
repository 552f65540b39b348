// The main job, told once from its beginning to its end; each test goes on where the one before it ended.
import { describe, expect, it } from "vitest";
import {
  answer,
  becomes,
  bubble,
  by,
  live,
  open,
  panelOf,
  row,
  Stage,
  wholeThread,
  widgetThread,
  write,
} from "./people";

const stage = await Stage.open();
const phone = "+15551230001"; // Maria Lopez, the first customer of the simulator
const maria = "Maria Lopez";

describe("the main job", async () => {
  const ana = await stage.person();
  const customer = await stage.person();
  const visitor = await stage.person();

  it("prints pages that open", async () => {
    const pages = stage.program.pages.filter((p) => !p.includes("#token="));
    expect(pages).toEqual([
      `${stage.url}/demo`,
      `${stage.url}/demo/simulator`,
      `${stage.url}/docs`,
      expect.stringMatching(/\/readyz$/),
    ]);
    for (const address of pages) {
      const answer = await customer.page.goto(address);
      expect(answer?.status(), address).toBe(200);
    }
    expect(customer.faults).toEqual([]);
  });

  it("logs an agent in by the printed link, once", async () => {
    const [link = ""] = stage.program.logins;
    await ana.page.goto(link);
    await live(ana.page);
    expect(ana.page.url()).toBe(`${stage.url}/inbox/mine`);

    // The same link in another browser.
    await visitor.page.goto(link);
    await by(visitor.page, "login-error").filter({ hasText: "This link no longer works. Links work once" }).waitFor();
    await by(visitor.page, "login-email").waitFor();
    expect(visitor.page.url()).not.toContain("token");
  });

  it("paints what a customer writes within milliseconds, without a reload", async () => {
    await by(ana.page, "tab-unassigned").click();
    await by(ana.page, "list-empty").waitFor();
    await ana.page.evaluate(() => Object.assign(window, { notReloaded: true }));
    await customer.page.goto(`${stage.url}/demo/simulator?from=${encodeURIComponent(phone)}`);

    const times: { sent: number; heard: number; painted: number }[] = [];
    for (let n = 1; n <= 7; n++) {
      const text = `Hello, where is my order? (${n})`;
      const shown = ana.page.evaluate(
        (text) =>
          new Promise<{ heard: number; painted: number }>((ok) => {
            const now = () => performance.timeOrigin + performance.now();
            const watch = new MutationObserver(() => {
              const list = document.querySelector('[data-testid="conversation-list"]');
              if (!list?.textContent?.includes(text)) return;
              watch.disconnect();
              const { heard } = window as unknown as { heard: { at: number; text: string }[] };
              const at = heard.find((f) => f.text.includes(text))?.at ?? Number.NaN;
              // The frame after the one in which it was drawn.
              requestAnimationFrame(() => setTimeout(() => ok({ heard: at, painted: now() })));
            });
            watch.observe(document.body, { childList: true, subtree: true, characterData: true, attributes: true });
          }),
        text,
      );
      await by(customer.page, "sim-input").fill(text);
      const sent = performance.timeOrigin + performance.now();
      await by(customer.page, "sim-input").press("Enter");
      times.push({ sent, ...(await shown) });
    }
    const median = (all: number[]) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? Number.NaN;
    const toPaint = median(times.map((t) => t.painted - t.heard));
    const whole = median(times.map((t) => t.painted - t.sent));
    console.log(
      `medians of ${times.length}: event to painted row ${toPaint.toFixed(0)} ms, key press of the customer to painted row ${whole.toFixed(0)} ms`,
    );
    expect(toPaint).toBeLessThan(100);
    expect(whole).toBeLessThan(1000);
    expect(await row(ana.page, maria).count()).toBe(1);
    expect(await ana.page.evaluate(() => "notReloaded" in window)).toBe(true);
  });

  it("lets the agent claim and answer, and shows each step of the delivery", async () => {
    await stage.program.behave({ delayMs: 250, statuses: ["sent", "delivered"] });
    await row(ana.page, maria).click();
    await by(ana.page, "claim-button").click();
    await by(ana.page, "owner-name").filter({ hasText: "You" }).waitFor();

    const text = "It left the workshop this morning.";
    const steps = ana.page.evaluate(async (text) => {
      const seen: string[] = [];
      while (seen.at(-1) !== "delivered") {
        await new Promise((ok) => requestAnimationFrame(ok));
        for (const el of document.querySelectorAll<HTMLElement>('[data-testid="message"]')) {
          const status = el.dataset.status ?? "";
          if (el.textContent?.includes(text) && seen.at(-1) !== status) seen.push(status);
        }
      }
      return seen;
    }, text);
    await answer(ana.page, text);
    expect((await steps).filter((s) => s !== "local")).toEqual(["queued", "sent", "delivered"]);
    expect(await by(bubble(ana.page, text), "status").getAttribute("title")).toBe("Delivered");
    expect(await stage.program.outbox(phone)).toEqual([text]);
    const onPhone = by(customer.page, "sim-message").filter({ hasText: text });
    await by(onPhone, "sim-message-status").filter({ hasText: "Reported as delivered" }).waitFor();
    await stage.program.behave({});
  });

  it("brings a visitor of the website and the agent together", async () => {
    await visitor.page.goto(`${stage.url}/demo`);
    await by(visitor.page, "widget-launcher").click();
    const panel = await panelOf(visitor.page);
    await write(panel, "Is the Ness in stock, in dark green?");

    await by(ana.page, "tab-unassigned").click();
    await row(ana.page, "Is the Ness in stock").click();
    await by(ana.page, "claim-button").click();
    await bubble(ana.page, "Is the Ness in stock, in dark green?").waitFor();
    await by(panel, "widget-message-status").filter({ hasText: "Seen" }).waitFor();

    // Each sees that the other is typing, and that it ends.
    await by(ana.page, "composer").pressSequentially("It");
    await by(panel, "widget-typing").filter({ hasText: "Ana Admin is typing" }).waitFor();
    await by(ana.page, "composer").fill("It is: four of them.");
    await by(ana.page, "composer").press("Enter");
    await by(panel, "widget-message-text").filter({ hasText: "It is: four of them." }).waitFor();
    await by(panel, "widget-typing").waitFor({ state: "detached" });
    await by(panel, "widget-input").pressSequentially("Then");
    await by(ana.page, "typing").filter({ hasText: "is typing…" }).waitFor();
    await write(panel, "Then I take two.");
    await becomes(() => by(ana.page, "typing").innerText(), "");

    // Each sees that the other has read.
    await by(ana.page, "message").and(ana.page.locator('[data-status="read"]')).waitFor();
    await bubble(ana.page, "Then I take two.").waitFor();
    await by(panel, "widget-message").filter({ hasText: "Then I take two." }).getByText("Seen").waitFor();
  });

  it("shows an unread count on a closed widget", async () => {
    await by(visitor.page, "widget-launcher").click();
    await answer(ana.page, "They are yours until Friday.");
    await by(visitor.page, "widget-badge").filter({ hasText: "1" }).waitFor();
    await by(visitor.page, "widget-launcher").click();
    await by(visitor.page, "widget-badge").waitFor({ state: "hidden" });
  });

  it("keeps all over a reload on both sides", async () => {
    const said = [
      { mine: false, text: "Is the Ness in stock, in dark green?" },
      { mine: true, text: "It is: four of them." },
      { mine: false, text: "Then I take two." },
      { mine: true, text: "They are yours until Friday." },
    ];
    await by(ana.page, "composer").fill("half a sentence");
    await ana.page.reload();
    await live(ana.page);
    await bubble(ana.page, "Then I take two.").waitFor();
    expect(await wholeThread(ana.page)).toEqual(said);
    expect(await by(ana.page, "composer").inputValue()).toBe("half a sentence");

    await visitor.page.reload();
    await by(visitor.page, "widget-launcher").click();
    const panel = await panelOf(visitor.page);
    await becomes(
      () => widgetThread(panel),
      said.map((m) => ({ ...m, mine: !m.mine })),
    );

    await open(ana.page, maria);
    await bubble(ana.page, "It left the workshop this morning.").waitFor();
    expect((await wholeThread(ana.page)).map((m) => m.text)).toEqual([
      ...[1, 2, 3, 4, 5, 6, 7].map((n) => `Hello, where is my order? (${n})`),
      "It left the workshop this morning.",
    ]);
  });

  it("let no script fail and broke no policy", () => {
    for (const p of [ana, customer, visitor]) expect(p.faults).toEqual([]);
    // The link that was used twice, and nothing else, was refused.
    expect(ana.failedRequests).toEqual([]);
    expect(customer.failedRequests).toEqual([]);
    expect(visitor.failedRequests).toEqual([expect.stringMatching(/401.*\/api\/v1\/auth\/login/)]);
  });
});
