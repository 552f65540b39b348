import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync, constants as zlib } from "node:zlib";
import { compileMessage } from "@lingui/message-utils/compileMessage";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Compiles the message catalogs (src/i18n/*.json), so that no message parser is shipped. */
function catalogs(): Plugin {
  return {
    name: "catalogs",
    enforce: "pre",
    load(id) {
      if (!/\/src\/i18n\/[a-z-]+\.json$/.test(id)) return null;
      this.addWatchFile(id);
      const source = JSON.parse(readFileSync(id, "utf8")) as Record<string, string>;
      const compiled = Object.fromEntries(Object.entries(source).map(([key, text]) => [key, compileMessage(text)]));
      return JSON.stringify(compiled);
    },
  };
}

/** Writes compressed copies beside the files, so that the server compresses nothing while it answers. */
function precompress(): Plugin {
  let outDir = "";
  return {
    name: "precompress",
    apply: "build",
    configResolved(config) {
      outDir = join(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const entry of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|html|svg)$/.test(entry.name)) continue;
        const path = join(entry.parentPath, entry.name);
        const content = readFileSync(path);
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
        const params = { [zlib.BROTLI_PARAM_QUALITY]: 11, [zlib.BROTLI_PARAM_SIZE_HINT]: content.length };
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params }));
      }
    },
  };
}

const server = process.env.OMNI_SERVER ?? "http://localhost:8080";

export default defineConfig({
  base: "/",
  plugins: [catalogs(), react(), precompress()],
  define: { __VERSION__: JSON.stringify(process.env.OMNI_VERSION ?? "dev") },
  build: {
    outDir: "../dist/console",
    emptyOutDir: true,
    assetsDir: "console-assets",
    // A data: URL would need its own place in the content security policy.
    assetsInlineLimit: 0,
    manifest: true,
    target: "es2022",
    // The polyfill would be an inline script.
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/api": { target: server, changeOrigin: true },
      "/ws": { target: server, ws: true, changeOrigin: true },
    },
  },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.{ts,tsx}"],
    setupFiles: ["test/setup.ts"],
    css: { modules: { classNameStrategy: "non-scoped" } },
  },
});
