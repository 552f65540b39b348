import { describe, expect, it } from "vitest";
import { answer, becomes, by, live, type Person, row, Stage, wholeThread, widgetThread, write } from "./people";

const stage = await Stage.open();

/** How many messages each side writes. */
const count = 36;
const agents = (n: number) => `agent ${n}`;
const visitors = (n: number) => `visitor ${n}`;
const all = (name: (n: number) => string) => Array.from({ length: count }, (_, n) => name(n + 1));

/** Mends a line and lets the browser notice: after many cuts a page waits up to 20 s before it tries by itself. */
async function mendAndTell(p: Person): Promise<void> {
  p.line.mend();
  await p.context.setOffline(true);
  await p.context.setOffline(false);
}

describe("a line that is cut", async () => {
  const ana = await stage.agent(0);
  const visitor = await stage.visitor();
  const { panel } = visitor;

  it("loses nothing, doubles nothing and changes no order, on either side", async () => {
    await write(panel, visitors(1));
    await by(ana.page, "tab-unassigned").click();
    await row(ana.page, visitors(1)).click();
    await by(ana.page, "claim-button").click();
    await by(ana.page, "composer").waitFor();
    await answer(ana.page, agents(1));
    await by(panel, "widget-message-text")
      .filter({ hasText: agents(1) })
      .waitFor();

    const cut = (p: Person, how: "line" | "offline") => (how === "line" ? p.line.cut() : p.context.setOffline(true));
    const mend = (p: Person, how: "line" | "offline") => (how === "line" ? p.line.mend() : p.context.setOffline(false));
    // Each writes on and on. Right after some numbers, while the message is on its way, a line is cut, and the next ones
    // are written without it; at others it comes back. Before a cut there is a connection, so that each one counts.
    const unsent = ana.page.locator('[data-testid="message"][data-status="local"]');
    const agentWrites = async () => {
      for (let n = 2; n <= count; n++) {
        // The console shows a lost connection after 2 s only; nothing left to send is the proof that there is one.
        if ([6, 18, 30].includes(n)) await becomes(() => unsent.count(), 0);
        await answer(ana.page, agents(n));
        if (n === 6) await cut(ana, "line");
        if (n === 12) await mend(ana, "line");
        if (n === 18) await cut(ana, "offline");
        if (n === 22) await mend(ana, "offline");
        if (n === 30) await cut(ana, "line");
        if (n === 33) await mendAndTell(ana);
      }
    };
    const visitorWrites = async () => {
      for (let n = 2; n <= count; n++) {
        if ([9, 20, 30].includes(n)) await becomes(() => panel.locator(".waits").count(), 0);
        await write(panel, visitors(n));
        if (n === 9) await cut(visitor, "line");
        if (n === 15) await mend(visitor, "line");
        if (n === 20) await cut(visitor, "offline");
        if (n === 25) await mend(visitor, "offline");
        if (n === 30) await cut(visitor, "line");
        if (n === 33) await mendAndTell(visitor);
      }
    };
    await Promise.all([agentWrites(), visitorWrites()]);

    // All of the visitor's are in the widget's document at once. The order between the two sides is the server's.
    const last = async () => {
      const seen = await widgetThread(panel);
      return {
        visitor: seen.filter((m) => m.mine).map((m) => m.text),
        agent: seen.filter((m) => !m.mine).map((m) => m.text),
        waiting: await panel.locator(".waits").count(),
      };
    };
    await becomes(last, { visitor: all(visitors), agent: all(agents), waiting: 0 });
    await live(ana.page);
    await becomes(async () => (await wholeThread(ana.page)).length, 2 * count);
    const theirs = await widgetThread(panel);
    expect(await wholeThread(ana.page)).toEqual(theirs.map((m) => ({ ...m, mine: !m.mine })));
    // Each cut ended a connection: the sockets of before the first and of after each of the three.
    expect(ana.sockets).toBeGreaterThanOrEqual(4);
    expect(visitor.sockets).toBeGreaterThanOrEqual(4);
  });

  it("shows that it is cut, keeps what is written, and catches up", async () => {
    const toEnd = by(ana.page, "to-end");
    if (await toEnd.isVisible()) await toEnd.click();
    ana.line.cut();
    await by(ana.page, "freshness").and(ana.page.locator('[data-state="reconnecting"]')).waitFor();
    await answer(ana.page, "written in the dark");
    await ana.page.locator('[data-testid="message"][data-status="local"]').waitFor();
    await write(panel, "said meanwhile");
    await by(panel, "widget-message-status").filter({ hasText: "Sent" }).last().waitFor();
    await mendAndTell(ana);
    await live(ana.page);
    await becomes(
      async () => (await wholeThread(ana.page)).slice(-2),
      [
        { mine: false, text: "said meanwhile" },
        { mine: true, text: "written in the dark" },
      ],
    );
    await becomes(
      async () => (await widgetThread(panel)).slice(-2),
      [
        { mine: true, text: "said meanwhile" },
        { mine: false, text: "written in the dark" },
      ],
    );

    visitor.line.cut();
    await by(panel, "widget-offline").filter({ hasText: "Messages are sent when it is back" }).waitFor();
    await write(panel, "and now I");
    await by(panel, "widget-message-status").filter({ hasText: "Waiting for the connection" }).waitFor();
    await answer(ana.page, "we hear you");
    await mendAndTell(visitor);
    await becomes(
      async () => (await widgetThread(panel)).slice(-2),
      [
        { mine: false, text: "we hear you" },
        { mine: true, text: "and now I" },
      ],
    );
    await becomes(
      async () => (await wholeThread(ana.page)).slice(-2),
      [
        { mine: true, text: "we hear you" },
        { mine: false, text: "and now I" },
      ],
    );
  });

  it("sends what was written before a reload in the dark", async () => {
    visitor.line.cut();
    await write(panel, "before the page went");
    await by(panel, "widget-message-status").filter({ hasText: "Waiting for the connection" }).waitFor();
    visitor.line.mend();
    await visitor.page.reload();
    await becomes(async () => (await wholeThread(ana.page)).at(-1), { mine: false, text: "before the page went" });
  });

  it("let no script fail and broke no policy", () => {
    expect(ana.faults).toEqual([]);
    expect(visitor.faults).toEqual([]);
  });
});
