import { defineConfig } from "vitest/config";

const jsx = { jsx: { runtime: "automatic" as const, importSource: "preact" } };

/** The panel: a page for the frame, with hashed files beside it. */
export default defineConfig({
  base: "/widget/",
  oxc: jsx,
  build: {
    outDir: "../dist/widget",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: "panel.html" },
  },
  server: { proxy: { "/livechat": { target: "http://localhost:8080", ws: true } } },
  test: {
    environment: "happy-dom",
    include: ["test/**/*.test.{ts,tsx}"],
  },
});
