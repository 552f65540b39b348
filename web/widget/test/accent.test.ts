import { describe, expect, test } from "vitest";
import { contrast, defaultAccent, onAccent, readable, safeAccent } from "../src/accent";

const colours: string[] = [];
for (let n = 0; n <= 0xffffff; n += 0x1f1f1) colours.push(`#${n.toString(16).padStart(6, "0")}`);
colours.push("#777777", "#767676", "#757575", "#ffff00", "#00ff00", "#ff0000", "#ffffff");

describe("9.2 colours", () => {
  test("black on white is 21:1", () => {
    expect(contrast("#000000", "#ffffff")).toBeCloseTo(21, 5);
    expect(contrast("#767676", "#ffffff")).toBeCloseTo(4.54, 2);
  });

  test("text on any accent has at least 4.5:1", () => {
    for (const c of colours) expect(contrast(c, onAccent(c)), c).toBeGreaterThanOrEqual(4.5);
  });

  test.each(["#ffffff", "#16181d", "#eef0f4", "#262a32"])("AX7 any accent becomes readable on %s", (surface) => {
    for (const c of colours) {
      expect(contrast(readable(c, surface, 4.5), surface), c).toBeGreaterThanOrEqual(4.5);
      expect(contrast(readable(c, surface, 3), surface), c).toBeGreaterThanOrEqual(3);
    }
  });

  test("an accent that is readable already stays what it is", () => {
    expect(readable("#2457d6", "#ffffff", 4.5)).toBe("#2457d6");
  });

  test.each([undefined, "", "red", "#fff", "#12345g", "#123456;}", 7])(
    "an accent that is no colour (%s) is ours",
    (a) => {
      expect(safeAccent(a)).toBe(defaultAccent);
    },
  );
});
