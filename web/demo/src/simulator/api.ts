/** The simulator's endpoints: they play customers of the Test carrier and of others, and exist only in demo mode. */

export type Channel = "SMS" | "MMS" | "WhatsApp" | "PubNub";

/** The carrier that plays itself. It can do more than the others: bring files by their address, and texts in parts. */
export const testCarrier = "Test";

/** Where the demo can be reached. */
export interface Reachable {
  carrier: string;
  channelType: Channel;
  address: string;
}

/** What a customer sends, and how the carrier brings it. */
export interface Inbound {
  carrier: string;
  channelType: Channel;
  from: string;
  name?: string;
  text: string;
  mediaUrl?: string;
  /** Into how many parts the carrier cuts the text. */
  fragments?: number;
  /** How long the carrier takes. */
  delayMs?: number;
  /** How often it delivers the same again. */
  duplicates?: number;
}

/** A message of the business that reached the phone of a customer. */
export interface Outbound {
  id: string;
  channelType: Channel;
  text: string;
  /** Addresses of its files, for some hours. */
  mediaUrls?: string[];
  /** Milliseconds since 1970. */
  at: number;
  /** What the carrier has reported to the gateway last. */
  status: string;
  /** The carrier's own code of a failure. */
  errorCode?: string;
}

/** What the carrier does with messages of the business. */
export interface Behaviour {
  carrier: string;
  delayMs: number;
  /** A carrier's code, such as 30008; empty: no message fails. */
  failCode: string;
  /** 0 to 1: how many messages fail. */
  failRate: number;
  /** Which statuses it reports, in this order. */
  statuses: string[];
  /** In any order instead. */
  shuffle: boolean;
  /** How often each report comes again. */
  duplicates: number;
}

export async function reachable(): Promise<Reachable[]> {
  return (await call<{ channels: Reachable[] }>("GET", "config")).channels;
}

export async function sendInbound(m: Inbound): Promise<void> {
  await call("POST", "inbound", m);
}

export async function outbox(carrier: string, from: string): Promise<Outbound[]> {
  return (await call<{ items: Outbound[] }>("GET", `outbox?${new URLSearchParams({ carrier, from })}`)).items;
}

export async function setBehaviour(b: Behaviour): Promise<void> {
  await call("PUT", "behaviour", b);
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  const answer = await fetch(`/demo/api/${path}`, {
    method,
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : null,
  });
  const text = await answer.text();
  if (answer.ok) return (text ? JSON.parse(text) : undefined) as T;
  let why = `The server answered ${answer.status}.`;
  try {
    const problem = JSON.parse(text);
    const fields = Object.entries(problem.fields ?? {}).map(([name, what]) => `${name} ${what}`);
    why = [problem.detail || problem.title || why, ...fields].join(" ");
  } catch {
    // Not a problem document; the status says enough.
  }
  throw new Error(why);
}
