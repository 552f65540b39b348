import type { Interaction } from "@omni/shared";
import type { Channel } from "../api/records";
import type { Thread } from "../live/patch";

/** A message needs a while on its way: the server takes no free text in the last minute. */
const margin = 60_000;
const hour = 3_600_000;

/** When free text can no longer be sent, server time; undefined: this channel has no such limit, 0: it is over. */
export function windowEnds(
  i: Interaction,
  channel: Channel | undefined,
  thread: Thread | undefined,
): number | undefined {
  const hours = channel?.capabilities.windowHours;
  if (!hours) return undefined;
  if (!i.lastInboundAt || closedByCarrier(thread)) return 0;
  return i.lastInboundAt + hours * hour - margin;
}

/** The carrier refused a text because of its time, and nobody has written to us since. */
function closedByCarrier(thread: Thread | undefined): boolean {
  const last = thread?.items.findLast((m) => m.direction === "INBOUND" || m.reason === "window_closed");
  return last?.direction === "OUTBOUND";
}

/** What is left, in words' parts; soon: it is the last hour. */
export function timeLeft(ms: number): { hours: number; minutes: number; soon: boolean } {
  const minutes = Math.max(0, Math.ceil(ms / 60_000));
  return { hours: Math.floor(minutes / 60), minutes: minutes % 60, soon: ms <= hour };
}
