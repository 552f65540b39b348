import type { Millis, Status, StatusChange } from "./types";

const ranks: Record<Status, number> = {
  queued: 10,
  unknown: 15,
  sent: 20,
  failed: 30,
  undeliverable: 30,
  delivered: 40,
  read: 50,
};

/** Orders statuses; none and unheard-of ones rank 0. */
export function rank(status: Status | undefined): number {
  return status ? (ranks[status] ?? 0) : 0;
}

/** Reports whether a message of status `from` may become `to`: only upwards. A delivery after a failure wins. */
export function advances(from: Status | undefined, to: Status | undefined): boolean {
  return rank(to) > rank(from);
}

/** A status, and how often the message had been sent again by then. */
export interface Attempted {
  status?: Status | undefined;
  attempt?: number | undefined;
}

/**
 * Reports whether what is known gives way to what is told. Any status of a later attempt counts. Of an earlier one only that
 * the message arrived after all.
 */
export function supersedes(told: Attempted, known: Attempted): boolean {
  const newer = (told.attempt ?? 0) - (known.attempt ?? 0);
  if (newer > 0) return true;
  return advances(known.status, told.status) && (newer === 0 || rank(told.status) >= ranks.delivered);
}

interface WithStatus extends Attempted {
  statusAt?: Millis | undefined;
  reason?: StatusChange["reason"] | undefined;
  errorCode?: string | undefined;
  errorText?: string | undefined;
}

/** Returns the message with the change applied, or the same object if the change is not an advance. */
export function withStatus<M extends WithStatus>(
  message: M,
  change: Omit<StatusChange, "messageId" | "interactionId">,
): M {
  if (!supersedes(change, message)) return message;
  const attempt = Math.max(change.attempt ?? 0, message.attempt ?? 0);
  return {
    ...message,
    status: change.status,
    statusAt: change.at,
    ...(attempt > 0 && { attempt }),
    reason: change.reason,
    errorCode: change.errorCode,
    errorText: change.errorText,
  };
}

/**
 * Keeps statuses that came before their message, for 60 s (RT7). At most `limit` messages are remembered; the oldest
 * is forgotten first.
 */
export class EarlyStatuses {
  static readonly keepMs = 60_000;
  private readonly kept = new Map<string, { change: StatusChange; until: number }>();
  private readonly limit: number;

  constructor(limit = 1000) {
    this.limit = limit;
  }

  add(change: StatusChange, now: number = Date.now()): void {
    this.prune(now);
    const known = this.kept.get(change.messageId);
    if (known && !supersedes(change, known.change)) return;
    this.kept.delete(change.messageId);
    this.kept.set(change.messageId, { change, until: now + EarlyStatuses.keepMs });
    for (const id of this.kept.keys()) {
      if (this.kept.size <= this.limit) break;
      this.kept.delete(id);
    }
  }

  /** Returns what was kept for a message and forgets it. */
  take(messageId: string, now: number = Date.now()): StatusChange | undefined {
    this.prune(now);
    const found = this.kept.get(messageId);
    this.kept.delete(messageId);
    return found?.change;
  }

  private prune(now: number): void {
    for (const [id, { until }] of this.kept) {
      if (until <= now) this.kept.delete(id);
    }
  }
}
