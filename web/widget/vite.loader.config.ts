import { defineConfig } from "vite";

/** The loader: one file with a stable name, for the host's page. It exports nothing and leaves no name but window.omni. */
export default defineConfig({
  build: {
    outDir: "../dist/widget",
    emptyOutDir: false,
    target: "es2022",
    lib: { entry: "src/loader/index.ts", formats: ["iife"], name: "omniLoader", fileName: () => "loader.js" },
  },
});
