import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { answer, becomes, bubble, by, faultsByAxe, open, panelOf, png, row, Stage, widgetThread } from "./people";

const stage = await Stage.open();

describe("at the desk", async () => {
  const ana = await stage.agent(0);
  const ben = await stage.agent(1, { colorScheme: "dark" });

  it("CL8 gives a conversation to one of two who claim it, and tells the other who has it", async () => {
    await stage.program.inbound({ from: "+15551230011", text: "Who takes this?" });
    for (const { page } of [ana, ben]) {
      await by(page, "tab-unassigned").click();
      await row(page, "Who takes this?").click();
      await by(page, "claim-button").waitFor();
      await by(page, "composer").fill("I take it");
    }
    // Both have claimed before either is heard.
    let claims = 0;
    let both = () => {};
    const gate = new Promise<void>((ok) => {
      both = ok;
    });
    for (const { page } of [ana, ben]) {
      await page.route("**/claim", async (route) => {
        if (++claims === 2) both();
        await gate;
        await route.continue();
      });
    }
    await Promise.all([ana, ben].map(({ page }) => by(page, "claim-button").click()));
    const told = (page: Page) => by(page, "conversation-trouble").count();
    const owner = (page: Page) => by(page, "owner-name").innerText();
    await becomes(async () => (await told(ana.page)) + (await told(ben.page)), 1);
    expect(claims).toBe(2);
    const anaWon = (await told(ana.page)) === 0;
    const [winner, loser, name] = anaWon ? [ana, ben, "Ana Admin"] : [ben, ana, "Ben Agent"];
    await by(loser.page, "conversation-trouble")
      .filter({ hasText: `${name} was first` })
      .waitFor();
    await becomes(() => owner(loser.page), name);
    await becomes(() => owner(winner.page), "You");
    expect(await by(loser.page, "composer").inputValue()).toBe("I take it");
    for (const { page } of [ana, ben]) await row(page, "Who takes this?").waitFor({ state: "detached" });
    await by(loser.page, "composer").fill("");
  });

  it("TH5 says why an answer failed, in words, and keeps its text", async () => {
    await stage.program.inbound({ from: "+15551230012", text: "Can you read me?" });
    await open(ana.page, "+1 555 123 0012");
    await stage.program.behave({ failCode: "rejected", failRate: 1 });
    await answer(ana.page, "Loud and clear");
    const failed = ana.page.locator(
      '[data-testid="message"][data-status="failed"], [data-testid="message"][data-status="undeliverable"]',
    );
    await failed.waitFor();
    await failed.getByText("Loud and clear", { exact: true }).waitFor();
    const reason = by(failed, "failed-reason");
    expect(await reason.locator("p").first().innerText()).toMatch(/\w+ \w+/);
    await reason.locator("summary").click();
    await reason.getByText("Code of the carrier:").waitFor();
    await stage.program.behave({});
  });

  it("TH6 shows a picture that a customer sent while the conversation is open, and after a reload", async () => {
    const gif = Buffer.from("R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw==", "base64");
    const files = createServer((_, res) => res.writeHead(200, { "Content-Type": "image/gif" }).end(gif));
    await new Promise<void>((ok) => files.listen(0, "127.0.0.1", ok));
    try {
      const from = "+15551230016";
      await stage.program.inbound({ from, text: "Look at this", channelType: "MMS" });
      await open(ana.page, "+1 555 123 0016");
      const { port } = files.address() as AddressInfo;
      const mediaUrl = `http://127.0.0.1:${port}/holiday.gif`;
      await stage.program.inbound({ from, text: "The holiday", channelType: "MMS", mediaUrl });
      const picture = by(ana.page, "file-picture").locator("img");
      const seen = async () =>
        (await picture.count()) === 1 &&
        (await picture.evaluate((img: HTMLImageElement) => img.complete && img.naturalWidth === 1));
      await becomes(seen, true);
      await ana.page.reload();
      await becomes(seen, true);
    } finally {
      files.close();
    }
  });

  it("CO12 closes the open composer when the customer writes STOP, and opens it at START", async () => {
    const from = "+15551230013";
    await stage.program.inbound({ from, text: "Hello" });
    await open(ana.page, "+1 555 123 0013");
    await by(ana.page, "composer").fill("one more offer");
    await stage.program.inbound({ from, text: "STOP" });
    const statement = by(ana.page, "composer-opted-out");
    await statement.filter({ hasText: "opted out of SMS" }).waitFor();
    await statement.getByText("one more offer").waitFor();
    expect(await by(ana.page, "composer").count()).toBe(0);
    await by(ana.page, "opted-out").waitFor();
    await stage.program.inbound({ from, text: "START" });
    await by(ana.page, "composer").waitFor();
    expect(await by(ana.page, "composer").inputValue()).toBe("one more offer");
    await by(ana.page, "composer").fill("");
  });

  it("CO3 CO4 when the time for free text is over, has a template chosen, filled in and sent", async () => {
    const from = "+15551230017";
    await stage.program.inbound({ from, text: "When shall I come?", channelType: "WhatsApp" });
    await open(ana.page, "+1 555 123 0017");
    await by(ana.page, "window")
      .filter({ hasText: /2[34] h \d+ min left/ })
      .waitFor();
    await stage.program.behave({ failCode: "window_closed", failRate: 1 });
    await answer(ana.page, "On Monday");
    await by(ana.page, "composer-window-over").waitFor();
    await by(ana.page, "failed-reason").filter({ hasText: "The time for free text is over" }).waitFor();
    await stage.program.behave({});

    await by(ana.page, "choose-template").click();
    await by(ana.page, "template-search").fill("expect you");
    await by(ana.page, "template").click();
    await by(ana.page, "template-send").click();
    const [name, day] = [by(ana.page, "template-field").nth(0), by(ana.page, "template-field").nth(1)];
    await becomes(() => name.evaluate((el) => el === document.activeElement), true);
    await name.fill("Maria");
    await day.fill("Monday at 10");
    await by(ana.page, "template-preview").filter({ hasText: "Hello Maria, we expect you on Monday at 10." }).waitFor();
    expect(await faultsByAxe(ana.page)).toEqual([]);
    await by(ana.page, "template-send").click();
    await by(ana.page, "message-template").filter({ hasText: "appointment_reminder" }).waitFor();
    await becomes(
      async () => (await stage.program.outbox(from)).at(-1),
      "Your appointment\nHello Maria, we expect you on Monday at 10.\nReply to change it",
    );
    await stage.program.inbound({ from, text: "I will be there", channelType: "WhatsApp" });
    await by(ana.page, "composer").waitFor();
  });

  it("CO4 attaches a picture as the header of a template", async () => {
    const from = "+15551230018";
    await stage.program.inbound({ from, text: "Where are you?", channelType: "WhatsApp" });
    await open(ana.page, "+1 555 123 0018");
    await by(ana.page, "choose-template").click();
    await by(ana.page, "template").filter({ hasText: "way_to_us" }).click();
    const attached = by(ana.page, "template-attached");
    const chooser = ana.page.waitForEvent("filechooser");
    await by(ana.page, "template-attach").click();
    await (await chooser).setFiles({ name: "map.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7") });
    await attached.filter({ hasText: "This header takes an image." }).waitFor();
    await by(ana.page, "template-detach").click();
    const address = by(ana.page, "template-field").first();
    await becomes(() => address.evaluate((el) => el === document.activeElement), true);
    await by(ana.page, "template-attach-input").setInputFiles({ name: "map.png", mimeType: "image/png", buffer: png });
    await attached.filter({ hasText: "67 bytes" }).waitFor();
    expect(await faultsByAxe(ana.page)).toEqual([]);
    await by(ana.page, "template-field").fill("Maria");
    await by(ana.page, "template-send").click();

    const sent = bubble(ana.page, "This is the way to us, Maria.");
    const width = () => sent.locator("img").evaluate((el: HTMLImageElement) => el.naturalWidth);
    await becomes(width, 1);
    await by(sent, "message-template").filter({ hasText: "way_to_us" }).waitFor();
    await becomes(
      async () => (await stage.program.deliveries(from)).map((m) => [m.text, m.mediaUrls?.length]),
      [["This is the way to us, Maria.", 1]],
    );
    await ana.page.reload(); // there is no local copy any more
    await becomes(width, 1);
  });

  it("tells a colleague who is writing, and shows what was sent", async () => {
    await open(ana.page, "+1 555 123 0012");
    await open(ben.page, "+1 555 123 0012");
    await by(ana.page, "composer").pressSequentially("Once");
    await by(ben.page, "typing").filter({ hasText: "Ana Admin is writing an answer" }).waitFor();
    await answer(ana.page, "Once more");
    await bubble(ben.page, "Once more").waitFor();
    await becomes(() => by(ben.page, "typing").innerText(), "");
  });

  it("lets an agent do the main tasks by keys alone", async () => {
    const { page } = ana;
    const keys = page.keyboard;
    for (const n of [1, 2, 3]) {
      await stage.program.inbound({ from: `+1555123002${n}`, text: `By keys ${n}` });
    }
    await page.goto(`${stage.url}/inbox/unassigned`);
    await row(page, "By keys 3").waitFor();
    await row(page, "By keys 1").waitFor();
    await page.evaluate(() => {
      for (const e of ["pointerdown", "mousedown", "click"]) {
        addEventListener(e, (x) => (x as MouseEvent).detail > 0 && Object.assign(window, { pointed: true }), true);
      }
    });
    const shown = () => by(page, "conversation-header").locator("h1").innerText();
    const focused = () => page.evaluate(() => document.activeElement?.id ?? "");

    await keys.press("j");
    await becomes(shown, "+1 555 123 0023");
    await keys.press("j");
    await becomes(shown, "+1 555 123 0022");
    await keys.press("k");
    await becomes(shown, "+1 555 123 0023");
    // Along the list by arrows, and into a conversation by o and by Enter.
    await keys.press("u");
    await becomes(() => page.evaluate(() => document.activeElement?.hasAttribute("data-row") ?? false), true);
    await keys.press("ArrowDown");
    await keys.press("o");
    await becomes(shown, "+1 555 123 0022");
    await keys.press("ArrowDown");
    await keys.press("Enter");
    await becomes(shown, "+1 555 123 0021");
    await keys.press("Shift+A");
    await by(page, "owner-name").filter({ hasText: "You" }).waitFor();
    await keys.press("r");
    await becomes(focused, "composer");
    await keys.type("All by keys: j, k, o, e");
    await keys.press("Shift+Enter");
    await keys.type("and r");
    await keys.press("Enter");
    await by(page, "message").and(page.locator('[data-status="delivered"], [data-status="read"]')).waitFor();
    expect(await stage.program.outbox("+15551230021")).toEqual(["All by keys: j, k, o, e\nand r"]);
    await keys.press("Escape");
    await becomes(focused, "thread");
    await keys.press("e");
    await by(page, "conversation-state").filter({ hasText: "Resolved" }).waitFor();
    await keys.press("e");
    await by(page, "conversation-state").filter({ hasText: "Open" }).waitFor();
    await keys.press("?");
    await by(page, "help").waitFor();
    await keys.press("Escape");
    await by(page, "help").waitFor({ state: "detached" });
    expect(await page.evaluate(() => "pointed" in window)).toBe(false);
  });

  it("goes on with j from the row that was clicked, and keeps the open row in view", async () => {
    const { page } = ana;
    const numbers = Array.from({ length: 20 }, (_, n) => `+155512301${String(n).padStart(2, "0")}`);
    for (const from of numbers) await stage.program.inbound({ from, text: "One of many" });
    await page.goto(`${stage.url}/inbox/all`);
    await row(page, "+1 555 123 0119").click();
    for (const n of [18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3]) {
      await page.keyboard.press("j");
      const name = `+1 555 123 01${String(n).padStart(2, "0")}`;
      await by(page, "conversation-header").filter({ hasText: name }).waitFor();
      await becomes(
        () =>
          page.evaluate(() => {
            const list = document.querySelector('[data-testid="conversation-list"]')?.getBoundingClientRect();
            const open = document.querySelector('[data-row][aria-current="true"]')?.getBoundingClientRect();
            return Boolean(list && open && open.top >= list.top - 1 && open.bottom <= list.bottom + 1);
          }),
        true,
        name,
      );
    }
    // As fast as they come, without waiting for what is drawn.
    for (let n = 0; n < 10; n++) await page.keyboard.press("k");
    await by(page, "conversation-header").filter({ hasText: "+1 555 123 0113" }).waitFor();
  });

  it("lets a visitor do all by keys alone", async () => {
    const { page } = await stage.person();
    const keys = page.keyboard;
    await page.goto(`${stage.url}/demo`);
    const launcher = by(page, "widget-launcher");
    await launcher.waitFor();
    const onLauncher = () =>
      page.evaluate(() => (document.activeElement?.shadowRoot?.activeElement as HTMLElement)?.dataset.testid ?? "");
    for (let n = 0; n < 30 && (await onLauncher()) !== "widget-launcher"; n++) await keys.press("Tab");
    expect(await onLauncher()).toBe("widget-launcher");
    await keys.press("Enter");
    const panel = await panelOf(page);
    const focused = () => panel.evaluate(() => document.activeElement?.id ?? "");
    await becomes(focused, "text");
    await keys.type("No mouse here");
    await keys.press("Enter");
    await becomes(() => widgetThread(panel), [{ mine: true, text: "No mouse here" }]);
    await by(panel, "widget-message-status").filter({ hasText: "Sent" }).waitFor();
    await becomes(focused, "text");
    await keys.press("Escape");
    await by(page, "widget-frame").waitFor({ state: "hidden" });
    await becomes(onLauncher, "widget-launcher");
  });

  it("let no script fail and broke no policy", () => {
    for (const p of [ana, ben]) expect(p.faults).toEqual([]);
  });
});
