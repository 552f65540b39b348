import { describe, expect, test, vi } from "vitest";
import type { ToPanel } from "../src/bridge";
import { joinHost } from "../src/panel/host";

const site = "https://shop.example";

function frame(ancestor?: string) {
  const win = new EventTarget() as unknown as Window;
  const parent = { postMessage: vi.fn() };
  Object.assign(win, { parent, location: { ancestorOrigins: ancestor ? [ancestor] : undefined } });
  const say = (data: unknown, origin = site, source: unknown = parent) => {
    const e = new Event("message");
    Object.assign(e, { data, origin, source });
    win.dispatchEvent(e);
  };
  return { win, parent, say };
}

describe("M7 the panel's side of postMessage", () => {
  test("hears the loader and tells it, and only at the page's origin", () => {
    const { win, parent, say } = frame(site);
    const heard: ToPanel[] = [];
    const host = joinHost(site, (m) => heard.push(m), win);
    say({ omni: 1, type: "hide" });
    expect(heard).toEqual([{ omni: 1, type: "hide" }]);
    host.tell({ type: "unread", count: 2 });
    expect(parent.postMessage).toHaveBeenCalledExactlyOnceWith({ omni: 1, type: "unread", count: 2 }, site);
  });

  test("ignores another origin, another window, and what is not ours", () => {
    const { win, parent, say } = frame(site);
    const hear = vi.fn();
    joinHost(site, hear, win);
    say({ omni: 1, type: "hide" }, "https://evil.example");
    say({ omni: 1, type: "hide" }, site, { postMessage() {} });
    say({ type: "hide" }, site, parent);
    say("hide");
    say(null);
    expect(hear).not.toHaveBeenCalled();
  });

  test.each([
    ["the browser names another ancestor", site, "https://evil.example"],
    ["there is no origin", "", undefined],
    ["it would be anybody", "*", undefined],
  ])("neither hears nor tells when %s", (_, origin, ancestor) => {
    const { win, parent, say } = frame(ancestor);
    const hear = vi.fn();
    const host = joinHost(origin, hear, win);
    say({ omni: 1, type: "hide" }, origin || site);
    host.tell({ type: "close" });
    expect(hear).not.toHaveBeenCalled();
    expect(parent.postMessage).not.toHaveBeenCalled();
  });

  test("a panel opened by its own address has no host", () => {
    const win = new EventTarget() as unknown as Window;
    Object.assign(win, { parent: win, location: {} });
    expect(joinHost(site, () => {}, win).framed).toBe(false);
  });
});
