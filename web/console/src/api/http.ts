import { type ErrorCode, OmniError, type WireError } from "@omni/shared";

/** RFC 9457, as the server writes it. */
interface Problem {
  title?: string;
  detail?: string;
  code?: ErrorCode;
  fields?: Record<string, string>;
  details?: Record<string, unknown>;
  requestId?: string;
}

const byStatus: Record<number, ErrorCode> = {
  400: "invalid",
  401: "unauthenticated",
  403: "forbidden",
  404: "not_found",
  409: "conflict",
  422: "invalid",
  429: "rate_limited",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

export interface RequestOptions {
  method?: "GET" | "POST" | "PATCH" | "DELETE";
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

const timeoutMs = 30_000;

/** One request without authentication. Every failure is an OmniError; `offline` means that there was no answer. */
export async function send<T>(path: string, o: RequestOptions = {}): Promise<T> {
  const deadline = AbortSignal.timeout(timeoutMs);
  let res: Response;
  try {
    res = await fetch(path, {
      method: o.method ?? "GET",
      headers: {
        Accept: "application/json",
        ...(o.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...o.headers,
      },
      body: o.body === undefined ? null : JSON.stringify(o.body),
      credentials: "same-origin",
      signal: o.signal ? AbortSignal.any([o.signal, deadline]) : deadline,
    });
  } catch (cause) {
    if (o.signal?.aborted) throw cause;
    const code = deadline.aborted ? "timeout" : "offline";
    throw new OmniError({ code, message: "The server could not be reached." }, { cause });
  }
  if (!res.ok) throw await problem(res);
  if (res.status === 204) return undefined as T;
  return (await res.json()) as T;
}

async function problem(res: Response): Promise<OmniError> {
  let p: Problem = {};
  try {
    p = (await res.json()) as Problem;
  } catch {
    // Not ours: a proxy's page, for example. The status has to do.
  }
  const retryAfter = Number(res.headers.get("Retry-After") ?? "");
  const e: WireError & { requestId?: string } = {
    code: p.code ?? byStatus[res.status] ?? "internal",
    message: p.detail ?? p.title ?? res.statusText,
    requestId: p.requestId ?? res.headers.get("X-Request-Id") ?? "",
  };
  if (p.fields) e.fields = p.fields;
  if (p.details) e.details = p.details;
  if (Number.isFinite(retryAfter) && retryAfter > 0) e.retryAfterMs = retryAfter * 1000;
  return new OmniError(e);
}
