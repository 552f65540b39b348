// Counting of SMS parts and plain forms, as omni/segments.go and omni/plainsms.go do it: omni/testdata/segments.json has
// the cases of both.

const basic = new Set(
  "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà",
);
const extended = new Set("\f^{}\\[~]|€");

/** How many septets of the GSM 7 bit alphabet a character takes; 0 if it is not in it. */
function septets(c: string): number {
  if (basic.has(c)) return 1;
  return extended.has(c) ? 2 : 0;
}

export interface SegmentCount {
  /** SMS that the text goes out as; 1 for an empty text. */
  segments: number;
  /** GSM-7 septets, or UTF-16 units where `unicode`. */
  units: number;
  /** A character is outside GSM-7, so that all of the text is sent as UCS-2. */
  unicode: boolean;
}

/** Tells how many SMS a text is sent as. No character is cut in two: neither an escape nor a pair of surrogates. */
export function countSegments(text: string): SegmentCount {
  let units = 0;
  let unicode = false;
  for (const c of text) {
    const n = septets(c);
    unicode ||= n === 0;
    units += n;
  }
  if (unicode) units = text.length;
  const [single, part] = unicode ? [70, 67] : [160, 153];
  let segments = 1;
  if (units > single) {
    let used = 0;
    for (const c of text) {
      const n = unicode ? c.length : septets(c);
      if (used + n > part) {
        segments++;
        used = 0;
      }
      used += n;
    }
  }
  return { segments, units, unicode };
}

/** What stands in a text for something that GSM-7 does not have. `to` may be empty: what cannot be seen is left out. */
export interface Replacement {
  from: string;
  to: string;
  count: number;
}

// Each list: what is written, then all that it stands for. Letters are not among them, but for those that only are
// written as two: a name must not be spelt otherwise.
const forms: [to: string, from: string][] = [
  ["'", "\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u02bc\u00b4`"],
  ['"', "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"],
  ["-", "\u2010\u2011\u2012\u2013\u2014\u2015\u2212"],
  ["...", "\u2026"],
  ["*", "\u2022\u00b7"],
  ["x", "\u00d7"],
  ["/", "\u2044"],
  ["1/2", "\u00bd"],
  ["1/4", "\u00bc"],
  ["3/4", "\u00be"],
  ["(c)", "\u00a9"],
  ["(R)", "\u00ae"],
  ["(TM)", "\u2122"],
  ["fi", "\ufb01"],
  ["fl", "\ufb02"],
  [" ", "\t\u00a0\u2002\u2003\u2007\u2009\u200a\u202f"],
  ["\n", "\u2028\u2029"],
  ["", "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"],
];

/** Plain forms by what they stand for. Letters with an accent are found decomposed, as some devices write them. */
export const plainForms: ReadonlyMap<string, string> = new Map([
  ...forms.flatMap(([to, from]) => [...from].map((c): [string, string] => [c, to])),
  ...[..."èéùìòàÇÅåÉÄÖÜäöüÑñ"].map((c): [string, string] => [c.normalize("NFD"), c]),
]);

/**
 * Writes text in GSM-7, where that takes no more than signs that look the same or nearly so. Replacements are in the order
 * in which they first occur. If GSM-7 has the text already, or has not even then, it comes back as it is.
 */
export function plainSMS(text: string): { text: string; replacements: Replacement[] } {
  const found = new Map<string, Replacement>();
  const chars = [...text];
  let out = "";
  for (let i = 0; i < chars.length; i++) {
    const c = chars[i] ?? "";
    const two = c + (chars[i + 1] ?? "");
    const from = chars.length > i + 1 && plainForms.has(two) ? two : c;
    const to = plainForms.get(from);
    if (to === undefined) {
      if (septets(c) === 0) return { text, replacements: [] };
      out += c;
      continue;
    }
    if (from === two) i++;
    out += to;
    const r = found.get(from) ?? { from, to, count: 0 };
    r.count++;
    found.set(from, r);
  }
  return found.size === 0 ? { text, replacements: [] } : { text: out, replacements: [...found.values()] };
}
