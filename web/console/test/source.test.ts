import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const web = join(process.cwd(), "..");
const files = ["shared", "console", "widget"].flatMap((name) => {
  const dir = join(web, name);
  return readdirSync(dir, { recursive: true, encoding: "utf8" })
    .filter((f) => /^(src\/.*\.tsx?|[^/]+\.html)$/.test(f) && !f.endsWith(".gen.ts"))
    .map((f) => join(dir, f));
});

describe("M5 sources", () => {
  it.each([
    [
      "HTML from strings",
      /\b(innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc)\b|document\.write/,
    ],
    ["code from strings", /\beval\(|new Function\(|set(Timeout|Interval)\(\s*["'`]/],
    ["inline handlers and scripts", /\son[a-z]+="|<script(?![^>]*\bsrc=)|javascript:/],
  ])("hold no %s", (_, pattern) => {
    expect(files.length).toBeGreaterThan(40);
    expect(files.filter((f) => pattern.test(readFileSync(f, "utf8")))).toEqual([]);
  });
});
