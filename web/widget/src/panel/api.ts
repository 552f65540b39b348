import { type ErrorCode, OmniError, postFile } from "@omni/shared";
import type { Config, Page, Session } from "./types";

/** The public endpoints for visitors, on our own origin. Every failure is an OmniError. */
export class API {
  token: string | undefined;
  private readonly widget: string;
  private readonly fetch: typeof globalThis.fetch;

  constructor(widget: string, fetch: typeof globalThis.fetch = (...a) => globalThis.fetch(...a)) {
    this.widget = widget;
    this.fetch = fetch;
  }

  config(): Promise<Config> {
    return this.call("GET", `widgets/${encodeURIComponent(this.widget)}`);
  }

  /** Without a token a new visitor, with one the same again. */
  session(token?: string): Promise<Session> {
    return this.call("POST", "sessions", { widgetId: this.widget, token });
  }

  /** Ascending by seq, whichever way is asked. */
  messages(query: { before?: number; after?: number; limit?: number }): Promise<Page> {
    const q = new URLSearchParams(Object.entries(query).map(([k, v]) => [k, String(v)]));
    return this.call("GET", `messages?${q}`);
  }

  private async call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = {};
    if (body) headers["Content-Type"] = "application/json";
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let answer: Response;
    try {
      answer = await this.fetch(`/livechat/v1/${path}`, {
        method,
        headers,
        body: body ? JSON.stringify(body) : null,
        signal: AbortSignal.timeout(15_000),
      });
      if (answer.ok) return (await answer.json()) as T;
    } catch (e) {
      throw new OmniError({ code: "offline", message: "The server cannot be reached." }, { cause: e });
    }
    throw await refusal(answer);
  }

  /** Uploads a file for the visitor, who is there once the session is. */
  async upload(file: File, onShare: (share: number) => void, signal: AbortSignal): Promise<{ id: string }> {
    if (!this.token) throw new OmniError({ code: "offline", message: "There is no connection yet." });
    const answer = await postFile("/livechat/v1/uploads", this.token, file, onShare, signal);
    if (!answer.ok) throw await refusal(answer);
    return answer.json();
  }
}

async function refusal(answer: Response): Promise<OmniError> {
  const problem = await answer.json().catch(() => ({}));
  return new OmniError({
    code: codeOf(answer.status, problem.code),
    message: problem.detail ?? problem.title ?? `The server answered ${answer.status}.`,
    retryAfterMs: Number(answer.headers.get("Retry-After")) * 1000 || 0,
  });
}

// A proxy in between answers without our code.
function codeOf(status: number, code: ErrorCode | undefined): ErrorCode {
  if (code) return code;
  if (status === 401) return "unauthenticated";
  if (status === 404) return "not_found";
  if (status === 429) return "rate_limited";
  return status >= 500 ? "unavailable" : "invalid";
}
