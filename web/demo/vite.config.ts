import { defineConfig } from "vitest/config";

/** The pages of the demo: a website that carries the widget, the simulator, and a page that makes it hard for the widget. */
export default defineConfig({
  base: "/demo/",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../dist/demo",
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: ["index.html", "simulator.html", "hostile.html"] },
  },
  server: {
    proxy: {
      "/demo/api": "http://localhost:8080",
      "/widget": "http://localhost:8080",
      "/livechat": { target: "http://localhost:8080", ws: true },
    },
  },
  test: { environment: "happy-dom", include: ["test/**/*.test.{ts,tsx}"] },
});
