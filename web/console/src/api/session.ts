import { isCode, OmniError } from "@omni/shared";
import { create } from "zustand";
import { type RequestOptions, send } from "./http";
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

// By this machine's clock, so that a wrong one does no harm.
let freshUntil = 0;

function take(session: Session): Session {
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
  const before = useSession.getState();
  const session = await send<Session>("/api/v1/auth/login", { method: "POST", body: by });
  if (before.status === "expired" && before.session.user.id !== session.user.id) {
    // Another person: nothing of the first one's screen may stay.
    location.assign("/");
  }
  return take(session);
}

export async function logout(): Promise<void> {
  try {
    await send("/api/v1/auth/logout", { method: "POST", body: {}, headers: { ...csrf(), ...bearer() } });
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
      take(await send<Session>("/api/v1/auth/refresh", { method: "POST", body: {}, headers: csrf() }));
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
export async function call<T>(path: string, o: RequestOptions = {}): Promise<T> {
  const once = async () =>
    send<T>(`/api/v1${path}`, { ...o, headers: { ...o.headers, Authorization: `Bearer ${await accessToken()}` } });
  try {
    return await once();
  } catch (e) {
    if (!isCode(e, "unauthenticated") || useSession.getState().status !== "in") throw e;
    if (!(await refresh())) throw e;
    return once();
  }
}
