import { type ErrorCode, OmniError, type WireError } from "@omni/shared";
import type { components } from "@omni/shared/api";

/** RFC 9457, as the server writes it; a proxy between may write anything. */
type Problem = Partial<components["schemas"]["Problem"]>;

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

const timeoutMs = 30_000;

/** One request. Every failure is an OmniError; `offline` means that there was no answer. */
export async function send(request: Request): Promise<Response> {
  const deadline = AbortSignal.timeout(timeoutMs);
  let res: Response;
  try {
    res = await fetch(request, { signal: AbortSignal.any([request.signal, deadline]) });
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    const code = deadline.aborted ? "timeout" : "offline";
    throw new OmniError({ code, message: "The server could not be reached." }, { cause });
  }
  if (!res.ok) throw await problem(res);
  return res;
}

/** What a client's call gave. It has data, because send throws where there is none. */
export async function data<T>(call: Promise<{ data?: T }>): Promise<T> {
  return (await call).data as T;
}

/** What a refusal says. */
export async function problem(res: Response): Promise<OmniError> {
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
