import type { Keep } from "./storage";

/** What the visitor wrote and the server has not confirmed. */
export interface Waiting {
  clientId: string;
  text: string;
  /** Uploaded before. */
  files?: { id: string; name: string }[];
  at: number; // ms since 1970, this browser's clock
  /** Why the server refused it; the visitor may try again. */
  failed?: string;
}

/** How long an unsent message is worth sending. */
export const queueLife = 24 * 3600_000;

/**
 * Unsent messages, oldest first. Each has a key of its own, so that two tabs never write over each other; sending one
 * from both makes one message, because the client id is the same.
 */
export class Queue {
  private readonly keep: Keep;
  private readonly widget: string;
  private readonly now: () => number;

  constructor(keep: Keep, widget: string, now: () => number) {
    this.keep = keep;
    this.widget = widget;
    this.now = now;
  }

  private key(clientId: string): string {
    return `omni.queue.${this.widget}.${clientId}`;
  }

  all(): Waiting[] {
    const found: Waiting[] = [];
    for (const key of this.keep.keys()) {
      if (!key.startsWith(this.key(""))) continue;
      const w = parse(this.keep.get(key));
      if (!w || w.at < this.now() - queueLife) this.keep.remove(key);
      else found.push(w);
    }
    // Ids of version 7 grow with time, so they settle the order inside one millisecond.
    return found.sort((a, b) => a.at - b.at || (a.clientId < b.clientId ? -1 : 1));
  }

  put(w: Waiting): void {
    this.keep.set(this.key(w.clientId), JSON.stringify(w));
  }

  remove(clientId: string): void {
    this.keep.remove(this.key(clientId));
  }
}

function parse(s: string | null): Waiting | undefined {
  try {
    const w = JSON.parse(s ?? "");
    return typeof w.clientId === "string" && typeof w.text === "string" && typeof w.at === "number" ? w : undefined;
  } catch {
    return undefined;
  }
}
