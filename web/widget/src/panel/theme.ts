import { effect, signal } from "@preact/signals";
import { onAccent, readable, safeAccent } from "../accent";
import type { Theme } from "../bridge";

// The surfaces of panel.css, for which the accent has to be readable.
const surface = { light: "#ffffff", dark: "#16181d" };
const bubble = { light: "#eef0f4", dark: "#262a32" };

/** Keeps the page's colours in step with the wanted theme, the system's, and the accent. */
export function themed(accent: () => string | undefined, initial: Theme) {
  const theme = signal<Theme>(initial);
  const system = matchMedia("(prefers-color-scheme:dark)");
  const dark = signal(system.matches);
  system.addEventListener("change", () => {
    dark.value = system.matches;
  });
  effect(() => {
    const look = theme.value === "auto" ? (dark.value ? "dark" : "light") : theme.value;
    const a = safeAccent(accent());
    const ui = readable(a, surface[look], 3);
    const root = document.documentElement;
    root.dataset.look = look;
    for (const [name, value] of Object.entries({
      "--accent": a,
      "--on-accent": onAccent(a),
      // Where the accent is nearly the surface, an edge keeps the two apart.
      "--seam": readable(a, surface[look], 1.4),
      "--ui": ui,
      "--on-ui": onAccent(ui),
      "--link": readable(a, bubble[look], 4.5),
    }))
      root.style.setProperty(name, value);
  });
  return theme;
}
