// Every screen of console and widget, in light and dark, wide and narrow, as axe sees it.
import type { Page } from "playwright-core";
import { beforeAll, describe, expect, it } from "vitest";
import { answer, becomes, by, faultsByAxe, open, Stage, write } from "./people";

const stage = await Stage.open();
const looks = ["light", "dark"] as const;
const sizes = [
  [1440, 900],
  [375, 740],
] as const;
const matrix = looks.flatMap((look) => sizes.map(([width, height]) => ({ look, width, height })));

async function show(page: Page, look: "light" | "dark", width: number, height: number): Promise<void> {
  await page.emulateMedia({ colorScheme: look, reducedMotion: "reduce" });
  await page.setViewportSize({ width, height });
}

describe("AX axe finds nothing", async () => {
  const stranger = await stage.person();
  const ana = await stage.agent(0);
  const visitor = await stage.visitor();
  // A conversation with both sides, a link, a failure; one of somebody who opted out; one with a visitor.
  beforeAll(async () => {
    const talked = "+15551230031";
    const stopped = "+15551230032";
    await stage.program.inbound({ from: talked, text: "See https://example.com/chairs and call +44 20 7946 0018" });
    await stage.program.inbound({ from: stopped, text: "Hello" });
    await stage.program.inbound({ from: stopped, text: "STOP" });
    await open(ana.page, "+1 555 123 0031");
    await answer(ana.page, "We have seen it, see https://example.com/answer");
    await ana.page.locator('[data-testid="message"][data-status="delivered"]').waitFor();
    await stage.program.behave({ failCode: "rejected", failRate: 1 });
    await answer(ana.page, "This one fails");
    await by(ana.page, "failed-reason").waitFor();
    await stage.program.behave({});
    await write(visitor.panel, "A question from https://example.com");
    // The pointer is over the list: nothing moves under it, what is new waits behind a button.
    await by(ana.page, "list-new").click();
    await by(ana.page, "conversation-row").filter({ hasText: "A question from" }).click();
    await by(ana.page, "conversation-header").filter({ hasText: "Live chat" }).waitFor();
    await answer(ana.page, "And its answer: https://example.com/a");
    await by(visitor.panel, "widget-message").nth(1).waitFor();
  });

  it("but what is wrong", async () => {
    await stranger.page.goto(`${stage.url}/login`);
    await by(stranger.page, "login-form").waitFor();
    await stranger.page.evaluate(() => document.querySelector("label")?.remove());
    expect(await faultsByAxe(stranger.page)).toEqual([expect.stringContaining("label: <input")]);
  });

  for (const { look, width, height } of matrix) {
    const where = `${look} at ${width}`;

    it(`login, ${where}`, async () => {
      await show(stranger.page, look, width, height);
      await stranger.page.goto(`${stage.url}/login`);
      await by(stranger.page, "login-form").waitFor();
      expect(await faultsByAxe(stranger.page)).toEqual([]);
      await stranger.page.locator("input[name=email]").fill("nobody@demo.example");
      await stranger.page.locator("input[name=password]").fill("not this one");
      await by(stranger.page, "login-submit").click();
      await by(stranger.page, "login-error").waitFor();
      expect(await faultsByAxe(stranger.page)).toEqual([]);
    });

    it(`console, ${where}`, async () => {
      const { page } = ana;
      await show(page, look, width, height);
      await page.goto(`${stage.url}/inbox/all`);
      await by(page, "conversation-row").nth(2).waitFor();
      expect(await faultsByAxe(page), "inbox").toEqual([]);
      await by(page, "conversation-row").filter({ hasText: "555 123 0031" }).click();
      await by(page, "failed-reason").waitFor();
      expect(await faultsByAxe(page), "conversation").toEqual([]);
      if (await by(page, "back").isVisible()) await by(page, "back").click();
      await by(page, "conversation-row").filter({ hasText: "555 123 0032" }).click();
      await by(page, "composer-opted-out").waitFor();
      expect(await faultsByAxe(page), "opted out").toEqual([]);
    });

    it(`widget, ${where}`, async () => {
      const { page, panel } = visitor;
      await show(page, look, width, height);
      await becomes(() => panel.evaluate(() => document.documentElement.dataset.look), look);
      expect(await faultsByAxe(panel), "panel").toEqual([]);
      expect(await faultsByAxe(page), "page with the panel").toEqual([]);
    });
  }

  it("simulator and demo website", async () => {
    for (const { look, width, height } of matrix) {
      await show(stranger.page, look, width, height);
      await stranger.page.goto(`${stage.url}/demo/simulator`);
      await by(stranger.page, "sim-input").waitFor();
      expect(await faultsByAxe(stranger.page), `simulator, ${look} at ${width}`).toEqual([]);
      await stranger.page.goto(`${stage.url}/demo`);
      await by(stranger.page, "widget-launcher").waitFor();
      expect(await faultsByAxe(stranger.page), `website, ${look} at ${width}`).toEqual([]);
    }
  });
});
