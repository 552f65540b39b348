// After the build: keeps the widget inside its budgets and writes .gz and .br beside every text file.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../../dist/widget/", import.meta.url).pathname;
const size = { loader: 0, js: 0, css: 0, html: 0 };
// Bytes after gzip -9. The loader is in every page of the host; the panel is fetched when somebody opens it.
const budget = { loader: 4000, js: 32000, css: 6000, html: 2000 };

for (const name of readdirSync(dist, { recursive: true })) {
  if (!/\.(js|css|html|svg)$/.test(name)) continue;
  const file = join(dist, name);
  const bytes = readFileSync(file);
  const gz = gzipSync(bytes, { level: 9 });
  writeFileSync(`${file}.gz`, gz);
  writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  size[name === "loader.js" ? "loader" : name.split(".").pop()] += gz.length;
}

let over = false;
for (const [what, bytes] of Object.entries(size)) {
  const bad = bytes > budget[what] || bytes === 0;
  over ||= bad;
  console.log(
    `widget ${what.padEnd(6)} ${String(bytes).padStart(6)} of ${budget[what]} bytes gzip${bad ? "  OVER BUDGET OR MISSING" : ""}`,
  );
}
if (over) process.exit(1);
