// Fails when the built console is over its budget. Sizes are those of the .gz files, in bytes of which 1,000 are a KB.
import { readFileSync, statSync } from "node:fs";

const dist = new URL("../../dist/console/", import.meta.url);
const manifest = JSON.parse(readFileSync(new URL(".vite/manifest.json", dist), "utf8"));
const budget = { js: 300_000, css: 50_000, route: 80_000 };

function closure(keys, seen = new Set()) {
  for (const key of keys) {
    if (seen.has(key)) continue;
    seen.add(key);
    closure(manifest[key].imports ?? [], seen);
  }
  return seen;
}
const gz = (file) => statSync(new URL(`${file}.gz`, dist)).size;
const sum = (files) => [...new Set(files)].reduce((total, file) => total + gz(file), 0);

const entry = Object.keys(manifest).filter((key) => manifest[key].isEntry);
const first = closure([...entry, "src/inbox/InboxPage.tsx"]);
const js = sum([...first].map((key) => manifest[key].file));
const css = sum([...first].flatMap((key) => manifest[key].css ?? []));
const lines = [
  ["first route, JS", js, budget.js],
  ["first route, CSS", css, budget.css],
];
for (const key of Object.keys(manifest)) {
  if (!manifest[key].isDynamicEntry || first.has(key)) continue;
  const own = [...closure([key])].filter((k) => !first.has(k));
  lines.push([key, sum(own.flatMap((k) => [manifest[k].file, ...(manifest[k].css ?? [])])), budget.route]);
}
let over = false;
for (const [what, size, limit] of lines) {
  const bad = size > limit;
  over ||= bad;
  console.log(`${bad ? "OVER " : "     "}${what}: ${(size / 1000).toFixed(1)} KB of ${limit / 1000}`);
}
process.exit(over ? 1 : 0);
