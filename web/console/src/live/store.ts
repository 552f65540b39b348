import type { HealthChange, OmniError, SocketStatus, Typing } from "@omni/shared";
import { create } from "zustand";
import type { UploadedFile } from "./files";

/** A message of ours that the server has not confirmed. */
export interface Pending {
  clientId: string;
  interactionId: string;
  text: string;
  files?: UploadedFile[];
  at: number;
  /** Why the server refused it; none while it waits or is on its way. */
  error?: OmniError;
}

export interface LiveState {
  socket: SocketStatus;
  /** When the connection was lost, or the page began without one; 0 while it is open. */
  downSince: number;
  /** When the server was last heard from; 0: never. */
  lastHeardAt: number;
  /** What a reconnect brought, while that is shown (ST7). */
  caughtUp: { messages: number; conversations: number } | undefined;
  pending: Pending[];
  /** Who types, by interaction. Entries end by themselves. */
  typing: Record<string, Typing>;
  health: Record<string, HealthChange>;
  /** What a screen reader is told next; the number makes equal texts new. */
  announcement: { text: string; n: number };
}

export const useLive = create<LiveState>(() => ({
  socket: { state: "idle" },
  downSince: Date.now(),
  lastHeardAt: 0,
  caughtUp: undefined,
  pending: [],
  typing: {},
  health: {},
  announcement: { text: "", n: 0 },
}));

export function announce(text: string): void {
  useLive.setState((s) => ({ announcement: { text, n: s.announcement.n + 1 } }));
}
