/** What colour of text and icons can be read on another colour. A site owner's accent is never trusted to be readable. */

export const defaultAccent = "#2457d6";

/** The accent if it is a colour in six hex digits, else ours. */
export function safeAccent(accent: unknown): string {
  return typeof accent === "string" && /^#[0-9a-f]{6}$/i.test(accent) ? accent : defaultAccent;
}

function channels(hex: string): [number, number, number] {
  const n = Number.parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** Relative luminance, 0 to 1. Source: WCAG 2.2, "relative luminance". */
function luminance(hex: string): number {
  const [r, g, b] = channels(hex).map((v) => {
    const c = v / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Contrast of two colours in six hex digits, 1 to 21. */
export function contrast(a: string, b: string): number {
  const x = luminance(a);
  const y = luminance(b);
  return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
}

/** White or black, whichever has at least 4.5:1 on accent; one of them always has. White wins when both do. */
export function onAccent(accent: string): string {
  return contrast(accent, "#ffffff") >= 4.5 ? "#ffffff" : "#000000";
}

/** colour, moved towards black or white just so far that it has the contrast min on surface. */
export function readable(colour: string, surface: string, min: number): string {
  const towards = contrast(surface, "#ffffff") > contrast(surface, "#000000") ? 255 : 0;
  let found = colour;
  for (let step = 1; step <= 20 && contrast(found, surface) < min; step++) {
    const mixed = channels(colour).map((v) => Math.round(v + ((towards - v) * step) / 20));
    found = `#${mixed.map((v) => v.toString(16).padStart(2, "0")).join("")}`;
  }
  return found;
}
