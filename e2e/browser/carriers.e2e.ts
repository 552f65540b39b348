// Every carrier of the demo, as a new user tries it: a customer in the simulator, an agent in the console.
import { describe, expect, it } from "vitest";
import { answer, becomes, bubble, by, faultsByAxe, patience, row, Stage } from "./people";

const stage = await Stage.open();

describe("the demo's carriers", async () => {
  const ana = await stage.agent(0);
  const phone = await stage.person();
  await phone.page.goto(`${stage.url}/demo/simulator`);
  await by(phone.page, "sim-carrier").waitFor();
  await by(ana.page, "tab-all").click();

  const write = async (carrier: string, text: string) => {
    await by(phone.page, "sim-carrier").selectOption({ label: carrier });
    await by(phone.page, "sim-input").fill(text);
    await by(phone.page, "sim-input").press("Enter");
    await by(phone.page, "sim-message").filter({ hasText: text }).waitFor();
  };

  // What each tells of an answer in the end: SMS knows no reading.
  for (const [carrier, end] of Object.entries({
    "Test carrier": "delivered",
    Bandwidth: "delivered",
    Inteliquent: "delivered",
    MessageBird: "delivered",
    PubNub: "read",
    Twilio: "delivered",
    WhatsApp: "read",
  })) {
    it(`takes a message through ${carrier}, and brings the answer back with its status`, async () => {
      const question = `Do you hear me through ${carrier}?`;
      const reply = `Loud and clear through ${carrier}`;
      await write(carrier, question);
      await ana.page.mouse.move(900, 450); // the list does not move under the pointer
      await row(ana.page, question).click();
      await bubble(ana.page, question).waitFor();
      await answer(ana.page, reply);
      await becomes(() => bubble(ana.page, reply).getAttribute("data-status"), end, "what the agent sees");
      await by(phone.page, "sim-message").filter({ hasText: reply }).waitFor();
    }, 60_000);
  }

  it("CO4 fills in one of the templates that the WhatsApp account has, and says of the others why they cannot be sent", async () => {
    await row(ana.page, "Loud and clear through WhatsApp").click();
    await by(ana.page, "choose-template").click({ timeout: patience });
    const all = by(ana.page, "template");
    await becomes(() => all.count(), 6);
    expect(await all.and(ana.page.locator(":disabled")).count()).toBe(2);
    await by(ana.page, "template-search").fill("order_update");
    await becomes(() => all.count(), 2);
    await by(ana.page, "template-language").selectOption("de");
    await all.first().click();
    expect(await faultsByAxe(ana.page)).toEqual([]);
    const places = by(ana.page, "template-field");
    for (const [n, value] of ["A-1042", "Maria", "morgen", "A-1042"].entries()) await places.nth(n).fill(value);
    await by(ana.page, "template-preview")
      .getByText("Guten Tag Maria, Ihre Bestellung ist unterwegs und kommt morgen an.")
      .waitFor();
    await by(ana.page, "template-send").click();
    const sent = by(ana.page, "message").filter({ hasText: "Guten Tag Maria" });
    await becomes(() => sent.getAttribute("data-status"), "read");
    await by(phone.page, "sim-carrier").selectOption({ label: "WhatsApp" });
    await by(phone.page, "sim-message").filter({ hasText: "Guten Tag Maria" }).waitFor();
  }, 60_000);

  it("had nothing to complain of in the pages", () => {
    expect(ana.faults).toEqual([]);
    expect(phone.faults).toEqual([]);
  });
});
