import { type ErrorCode, type EventFrame, OmniError, OmniSocket, uuidv7 } from "../src/realtime"; // "@omni/shared/realtime" elsewhere

/** An access token: from POST /api/v1/auth/login, renewed by POST /api/v1/auth/refresh. */
export interface Session {
  token: string;
  renew(): Promise<boolean>;
}

/** What GET /api/v1/sync answers: records as they are now, to be merged by id. */
export interface Changes {
  state: "recovered" | "reset";
  interactions: { id: string; version: number }[];
  messages: { id: string; status?: string }[];
  next: string;
  more: boolean;
}

export interface Handlers {
  /** A durable event: once, and in order per topic. */
  event(e: EventFrame): void;
  /** What was missed while the topics' histories did not reach back. The same record may come again. */
  changed(c: Changes): void;
  /** Nor can that be told: read the open views again by REST. */
  reload(): void;
}

/** Follows a gateway as an agent. `base` is such as https://chat.example.com. */
export async function follow(base: string, session: Session, handlers: Handlers) {
  const api = async <T>(method: string, path: string): Promise<T> => {
    const headers = { Authorization: `Bearer ${session.token}`, "Content-Type": "application/json" };
    const res = await fetch(base + path, { method, headers, ...(method === "POST" && { body: "{}" }) });
    const body = (await res.json()) as T & { code?: ErrorCode; detail?: string };
    if (!res.ok) throw new OmniError({ code: body.code ?? "internal", message: body.detail ?? res.statusText });
    return body;
  };

  let since = "";
  const sync = async () => {
    for (let more = true; more; ) {
      const c = await api<Changes>("GET", `/api/v1/sync?since=${encodeURIComponent(since)}`);
      since = c.next;
      more = c.more;
      if (c.state === "reset") handlers.reload();
      else handlers.changed(c);
    }
  };
  // A place to go on from comes first: what happens between it and the connection is told at the next reset.
  await sync();

  const socket = new OmniSocket({
    url: `${base.replace(/^http/, "ws")}/ws`,
    client: "example/1",
    ticket: async () => (await api<{ ticket: string }>("POST", "/api/v1/realtime/tickets")).ticket,
    refresh: () => session.renew(),
    token: async () => session.token,
    onEvent: handlers.event,
    // A failure here is like a lost connection: it is tried again when the next one is made.
    onReset: () => void sync().catch(() => handlers.reload()),
  });
  socket.start();

  return {
    /** Sends a text. The same clientId again answers the same message, so a send without an answer can be repeated. */
    send: (interactionId: string, text: string, clientId = uuidv7()) =>
      socket.request<{ id: string }>("message.send", { interactionId, clientId, payload: { text } }),
    stop: () => socket.close(),
  };
}
