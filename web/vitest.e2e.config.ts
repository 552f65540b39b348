import { defineConfig } from "vitest/config";

// Browser tests: they drive the whole program, which OMNI_BINARY names, with the Chromium that OMNI_CHROMIUM names.
export default defineConfig({
  test: {
    include: ["*/e2e/**/*.e2e.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    fileParallelism: false,
  },
});
