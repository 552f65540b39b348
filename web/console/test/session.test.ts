import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { api } from "../src/api/endpoints";
import { accessToken, end, login, refresh, useSession } from "../src/api/session";
import { me } from "./make";

const organisation = { id: "o", name: "O", createdAt: 0, reopenMinutes: 60, version: 1 };
const session = (accessToken: string) => ({ accessToken, expiresAt: Date.now() + 900_000, user: me, organisation });
const json = (body: unknown, status = 200, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

let answers: ((r: Request) => Response | Promise<Response>)[];
let seen: Request[];

beforeEach(() => {
  answers = [];
  seen = [];
  vi.stubGlobal("fetch", async (r: Request) => {
    seen.push(r);
    const next = answers.shift();
    if (!next) throw new Error(`not expected: ${r.method} ${r.url}`);
    return next(r);
  });
  // biome-ignore lint/suspicious/noDocumentCookie: it is what the server sets
  document.cookie = "omni_csrf=token-of-csrf";
  useSession.setState({ status: "loading" }, true);
});
afterEach(() => vi.unstubAllGlobals());

const paths = () => seen.map((r) => `${r.method} ${new URL(r.url).pathname}`);

describe("session", () => {
  it("A11 sends the CSRF token with a refresh, and none is tried without it", async () => {
    answers.push(() => json(session("t1")));
    expect(await refresh()).toBe(true);
    expect(seen[0]?.headers.get("X-CSRF-Token")).toBe("token-of-csrf");
    // biome-ignore lint/suspicious/noDocumentCookie: the server takes it away at logout
    document.cookie = "omni_csrf=; max-age=0";
    expect(await refresh()).toBe(false);
    expect(seen).toHaveLength(1);
    expect(useSession.getState().status).toBe("expired");
  });

  it("A5 asks for one refresh at a time, because the token works once", async () => {
    let done: (r: Response) => void = () => undefined;
    answers.push(() => new Promise((resolve) => (done = resolve)));
    const both = Promise.all([refresh(), refresh()]);
    await vi.waitFor(() => expect(seen).toHaveLength(1));
    done(json(session("t1")));
    expect(await both).toEqual([true, true]);
    expect(seen).toHaveLength(1);
  });

  it("renews the session once when a call says that it is over, and repeats the call", async () => {
    answers.push(() => json(session("t1")));
    await login({ email: "a", password: "b" });
    answers.push(
      () => json({ code: "unauthenticated", title: "no" }, 401),
      () => json(session("t2")),
      (r) => json({ id: "i1", by: r.headers.get("Authorization") }),
    );
    expect(await api.act("i1", "claim", 4)).toEqual({ id: "i1", by: "Bearer t2" });
    expect(paths()).toEqual([
      "POST /api/v1/auth/login",
      "POST /api/v1/interactions/i1/claim",
      "POST /api/v1/auth/refresh",
      "POST /api/v1/interactions/i1/claim",
    ]);
    expect(await seen[3]?.json()).toEqual({ version: 4 });
  });

  it("ST10 a refresh that is refused ends the session and keeps who it was", async () => {
    answers.push(() => json(session("t1")));
    await login({ email: "a", password: "b" });
    answers.push(() => json({ code: "unauthenticated", title: "no" }, 401));
    expect(await refresh()).toBe(false);
    expect(useSession.getState()).toMatchObject({ status: "expired", session: { user: { id: me.id } } });
    answers.push(() => json({ code: "unauthenticated", title: "no" }, 401));
    await expect(accessToken()).rejects.toMatchObject({ code: "unauthenticated" });
  });

  it("a server that is away ends nothing", async () => {
    answers.push(() => json(session("t1")));
    await login({ email: "a", password: "b" });
    answers.push(() => Promise.reject(new TypeError("network")));
    await expect(refresh()).rejects.toMatchObject({ code: "offline", temporary: true });
    expect(useSession.getState().status).toBe("in");
  });

  it("ST8 an error tells code, text, details, request and when to come back", async () => {
    answers.push(() => json(session("t1")));
    await login({ email: "a", password: "b" });
    const problem = { code: "conflict", title: "Conflict", detail: "Ana was first", details: { by: { name: "Ana" } } };
    answers.push(() => json({ ...problem, requestId: "r1" }, 409, { "Retry-After": "3" }));
    await expect(api.act("i1", "claim", 4)).rejects.toMatchObject({
      code: "conflict",
      message: "Ana was first",
      details: { by: { name: "Ana" } },
      requestId: "r1",
      retryAfterMs: 3000,
    });
    answers.push(() => new Response("<html>bad gateway</html>", { status: 502 }));
    await expect(api.me()).rejects.toMatchObject({ code: "unavailable" });
    end();
  });
});
