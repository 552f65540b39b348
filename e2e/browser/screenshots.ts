// Takes the pictures of docs/images. Runs with OMNI_SCREENSHOTS=1 only, so that a test run changes no file.
import { join } from "node:path";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { answer, becomes, bubble, by, live, row, Stage, widgetThread, write } from "./people";

const stage = await Stage.open();
const images = join(import.meta.dirname, "../../docs/images");

/** Without focus, and with nothing under the pointer. */
async function picture(page: Page, name: string): Promise<void> {
  await page.mouse.move(720, 4);
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
  await page.evaluate(() => new Promise((ok) => requestAnimationFrame(() => requestAnimationFrame(ok))));
  await page.screenshot({ path: join(images, `${name}.png`), animations: "disabled", caret: "hide" });
}

/** The open conversation was looked at for long enough to count as read. */
async function read(page: Page): Promise<void> {
  await page.locator('[data-row][aria-current="true"]:not([data-unread])').waitFor();
}

async function said(page: Page, status: string): Promise<void> {
  await page.locator(`[data-testid="message"][data-status="${status}"]`).last().waitFor();
}

describe("pictures", async () => {
  const ana = await stage.agent(0);
  const ben = await stage.agent(1);
  const visitor = await stage.visitor();
  const phone = await stage.person();
  const { program } = stage;
  const { panel } = visitor;
  const maria = "+15551230001";

  /** Opens a conversation out of the list of all, whatever is held back in it. */
  async function turnTo(page: Page, text: string): Promise<void> {
    await page.goto(`${stage.url}/inbox/all`);
    await live(page);
    await row(page, text).first().click();
    await by(page, "composer").waitFor();
  }

  it("of the widget on a website", async () => {
    await write(panel, "Hello! Which chair would you take for a small balcony?");
    await turnTo(ana.page, "small balcony");
    await by(ana.page, "claim-button").click();
    await answer(ana.page, "Hello! The Ness: it is light, and it stacks when you need the room.");
    await by(panel, "widget-message").nth(1).waitFor();
    await write(panel, "Is it in stock, in dark green?");
    await bubble(ana.page, "Is it in stock, in dark green?").waitFor();
    await answer(ana.page, "Four of them. Shall I put one aside for you until Friday?");
    await by(panel, "widget-message").nth(3).waitFor();
    await write(panel, "Two, please!");
    await by(panel, "widget-message").filter({ hasText: "Two, please!" }).getByText("Seen").waitFor();
    await by(ana.page, "composer").pressSequentially("With");
    await by(panel, "widget-typing").waitFor();
    expect(await widgetThread(panel)).toHaveLength(5);
    for (const look of ["light", "dark"] as const) {
      await visitor.page.emulateMedia({ colorScheme: look });
      await becomes(() => panel.evaluate(() => document.documentElement.dataset.look), look);
      await picture(visitor.page, `widget-${look}`);
    }
    await by(ana.page, "composer").fill("");
  });

  it("of the console and the simulator", async () => {
    const at = (n: number) => `+4479460009${n}`;
    await program.inbound({
      from: at(10),
      channelType: "SMS",
      text: "Parcel arrived, one leg is scratched. Photo follows",
      name: "Tom Okafor",
    });
    await program.inbound({
      from: at(11),
      channelType: "WhatsApp",
      text: "¿Hacen envíos a las islas?",
      name: "Lucía Romero",
    });
    await program.inbound({
      from: at(12),
      channelType: "SMS",
      text: "Is Saturday 10:00 still fine for the pick-up?",
      name: "Jonas Weber",
    });
    await program.inbound({
      from: at(13),
      channelType: "WhatsApp",
      text: "Could you repair a Skerry from 2019?",
      name: "Aiko Tanaka",
    });
    await program.inbound({ from: at(14), channelType: "SMS", text: "Thanks, that solved it!", name: "Priya Nair" });
    await turnTo(ben.page, "Jonas Weber");
    await by(ben.page, "claim-button").click();
    await answer(ben.page, "It is. Please bring the order number, the rest is ready.");
    await said(ben.page, "delivered");
    await read(ben.page);
    await turnTo(ben.page, "Lucía Romero");
    await by(ben.page, "claim-button").click();

    // Failures come after what got through.
    await turnTo(ana.page, "Tom Okafor");
    await by(ana.page, "claim-button").click();
    await program.behave({ failCode: "rejected", failRate: 1 });
    await answer(ana.page, "Sorry for that, Tom. A new leg is on its way to you.");
    await by(ana.page, "failed-reason").waitFor();
    await read(ana.page);
    await program.behave({ statuses: ["sent", "delivered", "read"] });

    await phone.page.goto(`${stage.url}/demo/simulator?from=${encodeURIComponent(maria)}&channel=WhatsApp`);
    const writes = async (text: string) => {
      await by(phone.page, "sim-input").fill(text);
      await by(phone.page, "sim-input").press("Enter");
    };
    await writes("Hi! My rocking chair was due on *Monday*, order 20417.");
    await turnTo(ana.page, "Maria Lopez");
    await by(ana.page, "claim-button").click();
    await writes("Can you see where it is?");
    await bubble(ana.page, "Can you see where it is?").waitFor();
    await answer(ana.page, "Good morning Maria, one moment, I look it up.");
    await said(ana.page, "read");
    await answer(ana.page, "It left our workshop on Friday and is with the carrier now: https://track.example/20417");
    await said(ana.page, "read");
    await writes("Ah, I see it now, thank you. Could they bring it after 17:00?");
    await by(ana.page, "message").filter({ hasText: "after 17:00" }).waitFor();
    await answer(ana.page, "They can: *tomorrow between 17:00 and 19:00*. The driver calls you half an hour before.");
    await said(ana.page, "read");
    await writes("Perfect, I will be at home.");
    await by(ana.page, "message").filter({ hasText: "Perfect" }).waitFor();
    await read(ana.page);
    await program.behave({ statuses: ["sent", "delivered"] });
    await answer(ana.page, "Wonderful. Enjoy the chair!");
    await said(ana.page, "delivered");

    await write(panel, "One more thing: can I pick them up myself?");
    await program.inbound({
      from: at(15),
      channelType: "WhatsApp",
      text: "Do you take old chairs back?",
      name: "Henrik Solberg",
    });
    await row(ana.page, "Henrik Solberg").or(by(ana.page, "list-new")).first().waitFor();
    await ana.page.reload();
    await live(ana.page);
    await row(ana.page, "Henrik Solberg").waitFor();
    await bubble(ana.page, "Wonderful. Enjoy the chair!").waitFor();
    for (const look of ["light", "dark"] as const) {
      await ana.page.emulateMedia({ colorScheme: look });
      await picture(ana.page, `console-${look}`);
    }
    await by(phone.page, "sim-message-status").filter({ hasText: "Reported as delivered" }).waitFor();
    await picture(phone.page, "simulator-light");
  });
});
