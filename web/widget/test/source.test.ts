import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const roots = ["../src", "../../demo/src"].map((d) => join(import.meta.dirname, d));
const files = roots.flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((f) => /\.(ts|tsx|html)$/.test(f))
    .map((f) => join(root, f)),
);
files.push(join(import.meta.dirname, "../panel.html"));

test.each(files)("M5 %s makes no markup out of text and runs none", (file) => {
  const text = readFileSync(file, "utf8");
  expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc/);
  expect(text).not.toMatch(/javascript:|<[a-z][^>]*\son[a-z]+="/);
});

test("WG3 the loader asks for no cookie, font or image and sets no style in markup", () => {
  const loader = files.filter((f) => f.includes("/loader/")).map((f) => readFileSync(f, "utf8"));
  expect(loader).toHaveLength(3);
  for (const text of loader)
    expect(text).not.toMatch(/cookie|@font-face|url\(|setAttribute\(["']style|createElement\(["']style/);
});
