import { isCode, OmniError } from "@omni/shared";
import type { paths } from "@omni/shared/api";
import createClient from "openapi-fetch";
import { create } from "zustand";
import { data, send } from "./http";
import type { Session } from "./records";

/**
 * loading: not yet known. out: nobody is logged in. in: somebody is. expired: somebody was, and the screen is still
 * theirs until they log in again (ST10).
 */
export type SessionState =
  | { status: "loading" }
  | { status: "out" }
  | { status: "in"; session: Session }
  | { status: "expired"; session: Session };

export const useSession = create<SessionState>(() => ({ status: "loading" }));

/** The user on the screen. Only for use below the point where somebody is logged in. */
export function useMe() {
  return useSession((s) => {
    if (s.status !== "in" && s.status !== "expired") throw new Error("nobody is logged in");
    return s.session.user;
  });
}

/** Calls that need no session. */
const open = createClient<paths>({ baseUrl: location.origin, fetch: send });

// By this machine's clock, so that a wrong one does no harm.
let freshUntil = 0;

function take(session: Session): Session {
  const before = useSession.getState();
  if ((before.status === "in" || before.status === "expired") && before.session.user.id !== session.user.id) {
    // Another person, perhaps in another tab: nothing of the first one's screen may stay.
    location.assign("/");
  }
  freshUntil = Date.now() + lifetimeMs(session);
  useSession.setState({ status: "in", session }, true);
  return session;
}

/** How long the token lives, by its own claims; without them by our clock. */
function lifetimeMs(session: Session): number {
  try {
    const claims = JSON.parse(atob((session.accessToken.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/")));
    if (claims.exp > claims.iat) return (claims.exp - claims.iat) * 1000;
  } catch {
    // Not a token that we can read, and we need not.
  }
  return session.expiresAt - Date.now();
}

const cookie = (name: string) =>
  document.cookie
    .split("; ")
    .find((c) => c.startsWith(`${name}=`))
    ?.slice(name.length + 1);

const csrf = (): Record<string, string> => {
  const token = cookie("omni_csrf");
  return token ? { "X-CSRF-Token": token } : {};
};

export async function login(by: { email: string; password: string } | { loginToken: string }): Promise<Session> {
  return take(await data<Session>(open.POST("/api/v1/auth/login", { body: by })));
}

export async function logout(): Promise<void> {
  try {
    await open.POST("/api/v1/auth/logout", { body: {}, headers: { ...csrf(), ...bearer() } });
  } finally {
    freshUntil = 0;
    location.assign("/login");
  }
}

function bearer(): Record<string, string> {
  const s = useSession.getState();
  return s.status === "in" ? { Authorization: `Bearer ${s.session.accessToken}` } : {};
}

let refreshing: Promise<boolean> | undefined;

/** Renews the session. False: it is over. Rejects when the server gave no answer. One at a time over all tabs. */
export function refresh(): Promise<boolean> {
  refreshing ??= locked(async () => {
    if (!cookie("omni_csrf")) {
      end();
      return false;
    }
    try {
      take(await data<Session>(open.POST("/api/v1/auth/refresh", { body: {}, headers: csrf() })));
      return true;
    } catch (e) {
      if (!isCode(e, "unauthenticated", "forbidden", "invalid")) throw e;
      end();
      return false;
    }
  }).finally(() => {
    refreshing = undefined;
  });
  return refreshing;
}

/** The refresh token works once, and all tabs have the same one: a tab that waits here finds the next one. */
async function locked<T>(fn: () => Promise<T>): Promise<T> {
  return navigator.locks ? navigator.locks.request("omni-refresh", fn) : fn();
}

/** The session is over: the screen stays for whoever was logged in. */
export function end(): void {
  freshUntil = 0;
  const s = useSession.getState();
  if (s.status === "in") useSession.setState({ status: "expired", session: s.session }, true);
  else if (s.status === "loading") useSession.setState({ status: "out" }, true);
}

/** An access token that lives for at least another half minute. */
export async function accessToken(): Promise<string> {
  if (freshUntil - Date.now() < 30_000) await refresh();
  const s = useSession.getState();
  if (s.status !== "in") throw new OmniError({ code: "unauthenticated", message: "The session is over." });
  return s.session.accessToken;
}

/** One request as the user who is logged in. Renews the session once if the server says that it is over. */
async function authorized(request: Request): Promise<Response> {
  const once = async (r: Request) => {
    r.headers.set("Authorization", `Bearer ${await accessToken()}`);
    return send(r);
  };
  // A request can be sent once only.
  const second = request.clone();
  try {
    return await once(request);
  } catch (e) {
    if (!isCode(e, "unauthenticated") || useSession.getState().status !== "in") throw e;
    if (!(await refresh())) throw e;
    return once(second);
  }
}

/** The API as the user who is logged in. Its calls throw an OmniError unless they succeed. */
export const client = createClient<paths>({ baseUrl: location.origin, fetch: authorized });
