/**
 * What the loader on the host's page and the panel in its frame tell each other. Nothing here is secret and nothing
 * is worth stealing: no token, no text that anybody wrote in the chat.
 */

export type Theme = "light" | "dark" | "auto";

/** Events of the conversation that the host's page may hear of; never what was said. */
export type ChatEvent = "message" | "sent" | "error";

export type ToPanel =
  | { omni: 1; type: "show"; full: boolean }
  | { omni: 1; type: "hide" }
  | { omni: 1; type: "theme"; theme: Theme }
  | { omni: 1; type: "prefill"; text: string };

export type ToHost =
  | { omni: 1; type: "ready" }
  | { omni: 1; type: "close" }
  | { omni: 1; type: "unread"; count: number }
  /** Whether this visitor has a conversation, so that the next page may load the panel at idle time. */
  | { omni: 1; type: "keep"; keep: boolean }
  | { omni: 1; type: "event"; name: ChatEvent };

export function isTheme(v: unknown): v is Theme {
  return v === "light" || v === "dark" || v === "auto";
}
