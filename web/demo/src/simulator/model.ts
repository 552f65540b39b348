import { type Channel, type Inbound, type Outbound, type Reachable, testCarrier } from "./api";

/** What this page has sent as a customer. */
export interface Sent extends Inbound {
  id: string;
  at: number;
  state: "sending" | "accepted" | "refused";
  /** Why it was refused. */
  why?: string;
}

/** One bubble on the phone. */
export interface Row {
  key: string;
  mine: boolean;
  text: string;
  media: string[];
  at: number;
  state: string;
  failed: boolean;
}

const reported: Record<string, string> = {
  queued: "Not reported yet",
  sent: "Reported as sent",
  delivered: "Reported as delivered",
  read: "Reported as read",
  failed: "Reported as failed",
  undeliverable: "Reported as undeliverable",
  unknown: "No report",
};

const family = (c: Channel): Channel => (c === "MMS" ? "SMS" : c);

/** The carriers, the Test carrier first. */
export function carriers(all: Reachable[]): string[] {
  return [...new Set([testCarrier, ...all.map((r) => r.carrier)])];
}

/** The channels of a carrier. Only the Test carrier brings files by their address, as MMS has to. */
export function channels(all: Reachable[], carrier: string): Channel[] {
  if (carrier === testCarrier) return ["SMS", "MMS", "WhatsApp"];
  return [...new Set(all.filter((r) => r.carrier === carrier).map((r) => r.channelType))];
}

/**
 * The thread of one customer on one channel of a carrier, by time. An MMS and an SMS of one number are one thread, as on
 * a phone.
 */
export function thread(sent: Sent[], got: Outbound[], carrier: string, from: string, channel: Channel): Row[] {
  const same = (c: Channel) => family(c) === family(channel);
  const rows: Row[] = [];
  for (const s of sent) {
    if (s.from !== from || (s.carrier ?? testCarrier) !== carrier || !same(s.channelType)) continue;
    rows.push({
      key: s.id,
      mine: true,
      text: s.text,
      media: s.mediaUrl ? [s.mediaUrl] : [],
      at: s.at,
      state: describe(s),
      failed: s.state === "refused",
    });
  }
  for (const g of got) {
    if (!same(g.channelType)) continue;
    rows.push({
      key: g.id,
      mine: false,
      text: g.text,
      media: g.mediaUrls ?? [],
      at: g.at,
      state: (reported[g.status] ?? g.status) + (g.errorCode ? ` (${g.errorCode})` : ""),
      failed: g.status === "failed" || g.status === "undeliverable",
    });
  }
  return rows.sort((a, b) => a.at - b.at);
}

/** How a sent message went, in words. */
function describe(s: Sent): string {
  if (s.state === "sending") return "Sending";
  if (s.state === "refused") return `Not delivered: ${s.why ?? ""}`;
  const extras = [];
  if (s.channelType === "MMS") extras.push("MMS");
  if (s.fragments) extras.push(`in ${s.fragments} parts`);
  if (s.duplicates) extras.push(`${s.duplicates + 1} times`);
  if (s.delayMs) extras.push(`after ${s.delayMs / 1000} s`);
  return ["Handed to the carrier", ...extras].join(", ");
}

/** A number as carriers write it, or why it is none. */
export function number(input: string): { number?: string; why?: string } {
  const digits = input.replace(/[\s().-]/g, "");
  if (!/^\+[1-9]\d{6,14}$/.test(digits))
    return { why: "A number begins with + and the country, such as +15551234567." };
  return { number: digits };
}

const key = "omni.simulator";

/** What was sent is kept over a reload of this tab; the last 500. */
export function loadSent(storage: Storage = sessionStorage): Sent[] {
  try {
    const all = JSON.parse(storage.getItem(key) ?? "[]") as Sent[];
    // What was on its way when the page went has no answer any more.
    return all.map((s) => (s.state === "sending" ? { ...s, state: "refused", why: "the page was left" } : s));
  } catch {
    return [];
  }
}

export function saveSent(sent: Sent[], storage: Storage = sessionStorage): void {
  try {
    storage.setItem(key, JSON.stringify(sent.slice(-500)));
  } catch {
    // Without storage a reload begins anew.
  }
}
