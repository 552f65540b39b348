// Files that agents send: by button, paste and drop, to a visitor's panel and through a carrier.
import { describe, expect, it } from "vitest";
import { becomes, bubble, by, faultsByAxe, open, png, Stage, write } from "./people";

const stage = await Stage.open();
const phone = "+15551230001";
const maria = "Maria Lopez";

describe("files", async () => {
  const ben = await stage.agent(1);
  const visitor = await stage.visitor();
  const items = by(ben.page, "attachment");
  const send = by(ben.page, "send");

  it("CO6 reaches a visitor by keys alone, and shows on both sides at once", async () => {
    await write(visitor.panel, "What does it look like?");
    await open(ben.page, "Website visitor");
    const chooser = ben.page.waitForEvent("filechooser"); // from here on the browser hands it over
    await by(ben.page, "composer").fill("Like this.");
    await ben.page.keyboard.press("Tab");
    expect(await by(ben.page, "attach").evaluate((el) => el === document.activeElement)).toBe(true);
    await ben.page.keyboard.press("Enter");
    await (await chooser).setFiles([
      { name: "chair.png", mimeType: "image/png", buffer: png },
      { name: "offer.pdf", mimeType: "application/pdf", buffer: Buffer.from("%PDF-1.7\n1 0 obj") },
    ]);
    await becomes(() => items.count(), 2);
    await becomes(() => send.isEnabled(), true);
    expect(await faultsByAxe(ben.page)).toEqual([]);
    await by(ben.page, "composer").focus();
    await ben.page.keyboard.press("Enter");

    const sent = bubble(ben.page, "Like this.");
    const seen = (picture: ReturnType<typeof by>) => picture.evaluate((el: HTMLImageElement) => el.naturalWidth);
    await becomes(() => seen(sent.locator("img")), 1);
    await becomes(() => items.count(), 0);
    // The visitor may have read it before we look.
    await becomes(async () => /^(sent|delivered|read)$/.test((await sent.getAttribute("data-status")) ?? ""), true);
    const files = by(visitor.panel, "widget-file");
    await becomes(() => files.count(), 2);
    await becomes(() => seen(files.locator("img")), 1);
    expect(await files.last().textContent()).toContain("offer.pdf");
    expect(await faultsByAxe(visitor.panel)).toEqual([]);

    // After a reload there is no local copy: the picture comes from the server.
    await ben.page.reload();
    await becomes(() => seen(bubble(ben.page, "Like this.").locator("img")), 1);
    expect([...ben.faults, ...visitor.faults]).toEqual([]);
  });

  it("WG12 brings a visitor's picture to the agent", async () => {
    await by(visitor.panel, "widget-attach-input").setInputFiles({
      name: "mine.png",
      mimeType: "image/png",
      buffer: png,
    });
    const pictures = visitor.panel.locator('[data-direction="in"] img');
    await becomes(() => pictures.count(), 1);
    await becomes(() => pictures.evaluate((el: HTMLImageElement) => el.naturalWidth), 1);
    const came = ben.page.locator('[data-testid="message"][data-direction="INBOUND"] img');
    await becomes(() => came.count(), 1);
    await becomes(() => came.evaluate((el: HTMLImageElement) => el.naturalWidth), 1);
    expect([...ben.faults, ...visitor.faults]).toEqual([]);
  });

  it("CO6 takes what is pasted and dropped, refuses what the channel does not carry, and brings the rest to the carrier", async () => {
    await stage.program.inbound({ from: phone, text: "And from behind?", name: maria });
    await open(ben.page, maria);
    await bubble(ben.page, "And from behind?").waitFor(); // the header stands before thread and composer do
    await by(ben.page, "composer").waitFor();
    const give = (how: "paste" | "drop", name: string, type: string) =>
      ben.page.evaluate(
        ({ how, name, type, bytes }) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name, { type }));
          const init = { bubbles: true, cancelable: true };
          const at = document.querySelector(how === "paste" ? "#composer" : '[data-testid="thread"]');
          const event =
            how === "paste"
              ? new ClipboardEvent("paste", { ...init, clipboardData: data })
              : new DragEvent("drop", { ...init, dataTransfer: data });
          at?.dispatchEvent(event);
        },
        { how, name, type, bytes: [...png] },
      );
    await give("paste", "behind.png", "image/png");
    await give("drop", "above.png", "image/png");
    await give("drop", "page.html", "text/html");
    await becomes(() => items.count(), 3);
    await becomes(() => items.last().textContent(), "page.htmlThis channel does not carry text/html.");
    expect(await send.isDisabled()).toBe(true);
    await by(items.last(), "detach").click();
    await becomes(() => send.isEnabled(), true);
    await send.click();

    await becomes(async () => (await stage.program.deliveries(phone)).at(-1)?.mediaUrls?.length, 2);
    for (const url of (await stage.program.deliveries(phone)).at(-1)?.mediaUrls ?? []) {
      expect(url.startsWith(`${stage.url}/m/`)).toBe(true);
      const answer = await fetch(url);
      expect(answer.headers.get("content-type")).toBe("image/png");
      expect(Buffer.from(await answer.arrayBuffer()).equals(png)).toBe(true);
      expect((await fetch(url.replace("/m/A", "/m/B"))).status).toBe(404);
    }
    expect(ben.faults).toEqual([]);
  });
});
