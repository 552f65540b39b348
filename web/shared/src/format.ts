import type { ChannelType, Millis } from "./types";

const cache = new Map<string, Intl.DateTimeFormat>();

function dates(locale: string | undefined, key: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const id = `${locale ?? ""}|${key}`;
  let f = cache.get(id);
  if (!f) {
    f = new Intl.DateTimeFormat(locale, options);
    cache.set(id, f);
  }
  return f;
}

/** Hours and minutes, such as 14:03. */
export function clock(at: Millis, locale?: string): string {
  return dates(locale, "clock", { hour: "2-digit", minute: "2-digit" }).format(at);
}

/** Hours, minutes and seconds, such as 14:03:22. */
export function clockSeconds(at: Millis, locale?: string): string {
  return dates(locale, "seconds", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(at);
}

/** Date and time in full, for hover and screen readers. */
export function fullTime(at: Millis, locale?: string): string {
  return dates(locale, "full", { dateStyle: "full", timeStyle: "medium" }).format(at);
}

/** A day, with its year unless it is this one. */
export function day(at: Millis, now: Millis, locale?: string): string {
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return sameYear
    ? dates(locale, "day", { weekday: "long", day: "numeric", month: "long" }).format(at)
    : dates(locale, "dayYear", { weekday: "long", day: "numeric", month: "long", year: "numeric" }).format(at);
}

/** Names the day of a time in the local zone, so that two times can be told to be of one day: 2026-03-09. */
export function dayKey(at: Millis): string {
  const d = new Date(at);
  return `${d.getFullYear()}-${String(d.getMonth() + 1).padStart(2, "0")}-${String(d.getDate()).padStart(2, "0")}`;
}

/** Age in the shortest form: now, 5m, 3h, 2d, then the date. Units are short on purpose: it stands in list rows. */
export function age(at: Millis, now: Millis, locale?: string): string {
  const s = Math.max(0, Math.floor((now - at) / 1000));
  const unit = (value: number, name: "minute" | "hour" | "day") =>
    new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "narrow" }).format(value);
  if (s < 60) return new Intl.RelativeTimeFormat(locale, { numeric: "auto", style: "narrow" }).format(0, "second");
  if (s < 3600) return unit(Math.floor(s / 60), "minute");
  if (s < 86_400) return unit(Math.floor(s / 3600), "hour");
  if (s < 7 * 86_400) return unit(Math.floor(s / 86_400), "day");
  return dates(locale, "short", { day: "numeric", month: "short" }).format(at);
}

/** Size in bytes as people read it, in steps of 1,000: 12 kB, 3.4 MB. */
export function fileSize(bytes: number, locale?: string): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
  let value = bytes;
  let i = 0;
  while (value >= 1000 && i < units.length - 1) {
    value /= 1000;
    i++;
  }
  return new Intl.NumberFormat(locale, {
    style: "unit",
    unit: units[i] ?? "byte",
    unitDisplay: i === 0 ? "long" : "short",
    maximumFractionDigits: value < 10 && i > 0 ? 1 : 0,
  }).format(value);
}

// Country codes of one and two digits; all others have three (ITU-T E.164, list of 2016-11-15).
const short = /^(1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58])/;

/** Puts spaces into a number in E.164 form, so that it can be read; anything else comes back as it is. */
export function phone(e164: string): string {
  if (!/^\+[1-9]\d{6,14}$/.test(e164)) return e164;
  const digits = e164.slice(1);
  const code = short.exec(digits)?.[1] ?? digits.slice(0, 3);
  const rest = digits.slice(code.length);
  if (code === "1" && rest.length === 10) return `+1 ${rest.slice(0, 3)} ${rest.slice(3, 6)} ${rest.slice(6)}`;
  const groups: string[] = [];
  let left = rest;
  while (left.length > 4) {
    groups.push(left.slice(0, 3));
    left = left.slice(3);
  }
  groups.push(left);
  return `+${code} ${groups.join(" ")}`;
}

/** An address as its channel's people read it. */
export function address(channel: ChannelType, raw: string): string {
  if (channel === "SMS" || channel === "MMS" || channel === "WhatsApp") {
    return phone(raw.startsWith("+") || !/^\d{7,15}$/.test(raw) ? raw : `+${raw}`);
  }
  return raw;
}
