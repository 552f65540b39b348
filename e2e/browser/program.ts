import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** What the simulator's endpoint takes: a customer who writes through the Test carrier. */
export interface Inbound {
  from: string;
  text: string;
  channelType?: "SMS" | "MMS" | "WhatsApp";
  name?: string;
  mediaUrl?: string;
}

/** How the Test carrier treats what is sent from now on. */
export interface Behaviour {
  delayMs?: number;
  failCode?: string;
  failRate?: number;
  statuses?: string[];
}

export function needed(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the browser tests with make e2e-browser`);
  return value;
}

/** Ports that nobody listens on. Held together, so that they differ. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  const ports: number[] = [];
  for (const s of servers) {
    await new Promise<void>((ok, fail) => s.once("error", fail).listen(0, "127.0.0.1", ok));
    const at = s.address();
    if (at && typeof at === "object") ports.push(at.port);
  }
  await Promise.all(servers.map((s) => new Promise((ok) => s.close(ok))));
  return ports;
}

/** The real binary with its demo, on ports and in a directory of its own. */
export class Program {
  readonly url: string;
  private readonly child: ChildProcess;
  private readonly dir: string;
  private out = "";
  private log = "";

  private constructor(port: number, ops: number) {
    this.url = `http://localhost:${port}`;
    this.dir = mkdtempSync(join(tmpdir(), "omni-browser-"));
    this.child = spawn(
      needed("OMNI_BINARY"),
      ["serve", "--demo", "--addr", `127.0.0.1:${port}`, "--ops-addr", `127.0.0.1:${ops}`, "--drain-time", "1s"],
      {
        env: { PATH: process.env.PATH, OMNI_DATA_DIR: join(this.dir, "data"), OMNI_PUBLIC_URL: this.url },
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
  }

  /** Starts it, and waits until it has printed its pages. */
  static async start(): Promise<Program> {
    const [port = 0, ops = 0] = await freePorts(2);
    const p = new Program(port, ops);
    await new Promise<void>((ok, fail) => {
      p.child.once("error", fail);
      p.child.once("exit", (code) => fail(new Error(`the program ended with ${code}:\n${p.log}`)));
      p.child.stderr?.on("data", (d) => {
        p.log += d;
      });
      p.child.stdout?.on("data", (d) => {
        p.out += d;
        if (p.logins.length === 2 && p.out.includes("/demo/simulator")) ok();
      });
    });
    return p;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const gone = new Promise((ok) => this.child.once("exit", ok));
      this.child.kill("SIGTERM");
      await gone;
    }
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** All addresses that it printed. */
  get pages(): string[] {
    return [...this.out.matchAll(/https?:\/\/\S+/g)].map((m) => m[0]);
  }

  /** The printed links that log in: the admin's (Ana), then the agent's (Ben). Each works once. */
  get logins(): string[] {
    return this.pages.filter((p) => p.includes("/login#token="));
  }

  /** A customer writes. */
  async inbound(m: Inbound): Promise<void> {
    await this.call("POST", "inbound", { channelType: "SMS", ...m });
  }

  async behave(b: Behaviour): Promise<void> {
    await this.call("PUT", "behaviour", b);
  }

  /** What the Test carrier brought to a number, oldest first. */
  async outbox(from: string): Promise<string[]> {
    return (await this.deliveries(from)).map((m) => m.text);
  }

  /** The same, with the addresses of files. */
  async deliveries(from: string): Promise<{ text: string; mediaUrls?: string[] }[]> {
    const answer = await this.call("GET", `outbox?${new URLSearchParams({ from })}`);
    return ((await answer.json()) as { items: { text: string; mediaUrls?: string[] }[] }).items;
  }

  private async call(method: string, path: string, body?: unknown): Promise<Response> {
    const answer = await fetch(`${this.url}/demo/api/${path}`, {
      method,
      headers: { "Content-Type": "application/json", Origin: this.url },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}
