import { type EventFrame, OmniSocket } from "@omni/shared";
import type { Link, LinkHost } from "./chat";

/** The visitors' socket of our own origin. */
export function socketLink(host: LinkHost): Link {
  const hear = (e: EventFrame) => host.event(e.type, e.data, e.at);
  const socket = new OmniSocket({
    url: `${location.origin.replace(/^http/, "ws")}/livechat/ws`,
    client: "widget/1",
    async ticket() {
      const { ticket, resume } = await host.ticket();
      socket.learn(resume);
      return ticket;
    },
    onEvent: hear,
    onPassing: hear,
    onReset: () => host.reset(),
    onStatus(s) {
      if (s.state === "open") host.state("live");
      else if (s.state !== "idle") host.state(s.state);
    },
  });
  return {
    start: () => socket.start(),
    stop: () => socket.close(),
    retry: () => (socket.status.state === "stopped" ? socket.start() : socket.retryNow()),
    request: (type, data) => socket.request(type, data),
  };
}
