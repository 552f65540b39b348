import { createServer, request, type Server } from "node:http";
import { connect, type Socket } from "node:net";

/**
 * One person's way to the internet: a proxy between a browser and the program that can be cut at any moment, also
 * between a command and its answer. Unlike a browser's own "offline" it tells the page nothing.
 */
export class Line {
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();
  private up = true;

  private constructor() {
    this.server = createServer((from, to) => {
      const onward = request(from.url ?? "", { method: from.method, headers: from.headers, agent: false }, (answer) => {
        to.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(to);
      });
      onward.on("socket", (s) => this.hold(s));
      onward.on("error", () => to.destroy());
      from.on("error", () => onward.destroy());
      from.pipe(onward);
    });
    this.server.on("connection", (s) => (this.up ? this.hold(s) : s.destroy()));
    this.server.on("connect", (wanted, near: Socket, head) => {
      const at = new URL(`http://${wanted.url}`);
      const far = connect(Number(at.port), "127.0.0.1", () => {
        near.write("HTTP/1.1 200 Connection established\r\n\r\n");
        far.write(head);
        near.pipe(far).pipe(near);
      });
      this.hold(far);
      far.on("close", () => near.destroy());
      near.on("close", () => far.destroy());
    });
  }

  static async open(): Promise<Line> {
    const line = new Line();
    await new Promise<void>((ok, fail) => line.server.once("error", fail).listen(0, "127.0.0.1", ok));
    return line;
  }

  /** What a browser context is to be given as its proxy. */
  get proxy(): { server: string; bypass: string } {
    const at = this.server.address();
    return { server: `http://127.0.0.1:${at && typeof at === "object" ? at.port : 0}`, bypass: "<-loopback>" };
  }

  /** Ends every connection at once and takes no new one. */
  cut(): void {
    this.up = false;
    for (const s of this.sockets) s.destroy();
  }

  mend(): void {
    this.up = true;
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((ok) => this.server.close(ok));
  }

  private hold(s: Socket): void {
    this.sockets.add(s);
    s.on("close", () => this.sockets.delete(s));
    s.on("error", () => s.destroy());
    if (!this.up) s.destroy();
  }
}
