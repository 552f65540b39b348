import type { ErrorCode, WireError } from "./types";

/** A command or REST call that did not succeed: refused by the server, or without an answer (`offline`, `timeout`). */
export class OmniError extends Error {
  override readonly name = "OmniError";
  readonly code: ErrorCode;
  readonly fields: Readonly<Record<string, string>>;
  readonly details: Readonly<Record<string, unknown>>;
  readonly retryAfterMs: number;
  /** Names the request in the server's log; empty for commands on the socket. */
  readonly requestId: string;

  constructor(e: WireError & { requestId?: string }, options?: ErrorOptions) {
    super(e.message, options);
    this.code = e.code;
    this.fields = e.fields ?? {};
    this.details = e.details ?? {};
    this.retryAfterMs = e.retryAfterMs ?? 0;
    this.requestId = e.requestId ?? "";
  }

  /** True when the same call may succeed later: nothing about it was wrong. */
  get temporary(): boolean {
    return (
      this.code === "offline" ||
      this.code === "timeout" ||
      this.code === "unavailable" ||
      this.code === "rate_limited" ||
      this.code === "internal"
    );
  }
}

export function isCode(e: unknown, ...codes: ErrorCode[]): e is OmniError {
  return e instanceof OmniError && codes.includes(e.code);
}
