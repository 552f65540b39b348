import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { contrast } from "../src/accent";

const css = readFileSync(join(import.meta.dirname, "../src/panel/panel.css"), "utf8");

function tokens(selector: string): Record<string, string> {
  const block = css.slice(css.indexOf(`${selector} {`)).split("}")[0] ?? "";
  const long = (v: string) => (v.length === 4 ? `#${[...v.slice(1)].map((c) => c + c).join("")}` : v);
  return Object.fromEntries([...block.matchAll(/--([a-z]+): (#[0-9a-f]+)/g)].map((m) => [m[1], long(m[2] ?? "")]));
}

describe.each([":root", ':root[data-look="dark"]'])("AX7 colours of %s", (selector) => {
  const t = tokens(selector) as Record<"surface" | "bubble" | "ink" | "soft" | "edge" | "danger", string>;

  test.each(["ink", "soft", "danger"] as const)("%s has 4.5:1 on both surfaces", (name) => {
    expect(contrast(t[name], t.surface)).toBeGreaterThanOrEqual(4.5);
    expect(contrast(t[name], t.bubble)).toBeGreaterThanOrEqual(4.5);
  });

  test("the edge of a field has 3:1", () => {
    expect(contrast(t.edge, t.surface)).toBeGreaterThanOrEqual(3);
  });
});
