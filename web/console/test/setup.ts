import { cleanup } from "@testing-library/react";
import { afterEach, vi } from "vitest";

// What Mantine and Virtuoso ask of a browser and happy-dom has not, or only in name.
class NoObserver {
  observe(): void {}
  unobserve(): void {}
  disconnect(): void {}
}
vi.stubGlobal("ResizeObserver", NoObserver);
vi.stubGlobal("IntersectionObserver", NoObserver);

afterEach(() => {
  cleanup();
  localStorage.clear();
});
