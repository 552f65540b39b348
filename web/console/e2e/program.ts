import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";

function needed(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the browser tests with make e2e-browser`);
  return value;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const at = server.address();
      server.close(() => (at && typeof at === "object" ? resolve(at.port) : reject(new Error("no port"))));
    });
  });
}

/** The program as its users run it, with its demo data, on a port and in a directory of its own. */
export class Program {
  readonly url: string;
  private readonly port: number;
  private readonly ops: number;
  private readonly dir = mkdtempSync(join(tmpdir(), "omni-e2e-"));
  private child: ChildProcess | undefined;
  private out = "";

  private constructor(port: number, ops: number) {
    this.port = port;
    this.ops = ops;
    this.url = `http://localhost:${port}`;
  }

  static async start(): Promise<Program> {
    const p = new Program(await freePort(), await freePort());
    await p.run();
    return p;
  }

  /** Starts it, again or for the first time, on the same data. */
  async run(): Promise<void> {
    const args = ["serve", "--demo", "--addr", `127.0.0.1:${this.port}`, "--ops-addr", `127.0.0.1:${this.ops}`];
    args.push("--public-url", this.url, "--drain-time", "1s");
    this.out = "";
    this.child = spawn(needed("OMNI_BINARY"), args, { env: { ...process.env, OMNI_DATA_DIR: this.dir } });
    this.child.stdout?.on("data", (d) => {
      this.out += d;
    });
    this.child.stderr?.on("data", (d) => {
      this.out += d;
    });
    await until(async () => (await fetch(`http://127.0.0.1:${this.ops}/readyz`)).ok && this.links().length === 2, this);
  }

  async halt(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child || child.exitCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    await gone;
  }

  async stop(): Promise<void> {
    await this.halt();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** Links that log in at once: the admin's, then the agent's. Each works once. */
  links(): string[] {
    return [...this.out.matchAll(/\S+\/login#token=[0-9a-f]+/g)].map((m) => m[0]);
  }

  tail(): string {
    return this.out.slice(-4000);
  }

  /** A person writes to us through the test carrier. */
  async inbound(from: string, text: string, over: Record<string, unknown> = {}): Promise<void> {
    const res = await fetch(`${this.url}/demo/api/inbound`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Origin: this.url },
      body: JSON.stringify({ channelType: "SMS", from, text, ...over }),
    });
    if (!res.ok) throw new Error(`inbound: ${res.status} ${await res.text()}`);
  }

  async outbox(from: string): Promise<unknown[]> {
    const res = await fetch(`${this.url}/demo/api/outbox?from=${encodeURIComponent(from)}`, {
      headers: { Origin: this.url },
    });
    const body = (await res.json()) as unknown[] | { items: unknown[] };
    return Array.isArray(body) ? body : body.items;
  }
}

/** Waits until `ok` holds, 20 s at most. */
export async function until(ok: () => Promise<boolean> | boolean, program?: Program): Promise<void> {
  const end = Date.now() + 20_000;
  for (;;) {
    if (await Promise.resolve(ok()).catch(() => false)) return;
    if (Date.now() > end) throw new Error(`did not come true in 20 s: ${ok}\n${program?.tail() ?? ""}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
flags.push("--disable-background-networking", "--disable-component-update", "--disable-sync");

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: needed("OMNI_CHROMIUM"), args: flags });
}

/** Pages that collect what must not happen: errors of scripts, and violations of the content security policy. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<{ page: Page; context: BrowserContext; faults: string[] }> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (e) => faults.push(`${e}`));
  page.on("dialog", (d) => {
    faults.push(`dialog: ${d.message()}`);
    void d.dismiss();
  });
  page.on("console", (m) => {
    if (m.text().includes("Content Security Policy")) faults.push(m.text());
  });
  return { page, context, faults };
}

/** Keeps a picture beside the tests, for looking at a failure. */
export async function picture(page: Page, name: string): Promise<void> {
  const dir = new URL("../../../e2e/artifacts/console/", import.meta.url).pathname;
  mkdirSync(dir, { recursive: true });
  await page.screenshot({ path: `${dir}${name}.png` });
}
