/**
 * The client of the sockets, without anything of a browser page or a framework: the entry `@omni/shared/realtime`.
 * It runs wherever there is a WebSocket: browsers, workers, Node 22 and later.
 */
export * from "./error";
export * from "./socket";
export * from "./types";
export * from "./uuid";
