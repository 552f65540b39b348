import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Browser tests: they drive the whole program, which OMNI_BINARY names, with the Chromium that OMNI_CHROMIUM names.
export default defineConfig({
  // Those of e2e/browser stand outside of this directory and have no packages of their own.
  resolve: {
    alias: { "playwright-core": here("node_modules/playwright-core/index.mjs") },
  },
  test: {
    include: [
      "*/e2e/**/*.e2e.ts",
      "../e2e/browser/*.e2e.ts",
      // Writes docs/images: OMNI_SCREENSHOTS=1 make e2e-browser
      ...(process.env.OMNI_SCREENSHOTS === "1" ? ["../e2e/browser/screenshots.ts"] : []),
    ],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
