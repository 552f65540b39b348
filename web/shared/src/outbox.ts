import type { MediaType, Millis } from "./types";

/** A message that the server has not yet taken. */
export interface Unsent {
  /** UUIDv7, the idempotency key; unsent messages are ordered by it. */
  clientId: string;
  /** Who wrote it: another login on the same browser must not send it. */
  userId: string;
  conversationId: string;
  text: string;
  /** Files that were uploaded for it. */
  files?: { id: string; type: MediaType; contentType: string; size: number; name: string; expiresAt: Millis }[];
  replyTo?: string;
  createdAt: number;
}

/** Keeps unsent messages over reloads (RT6). Where the browser has no IndexedDB, or refuses it, for this page only. */
export interface Outbox {
  put(m: Unsent): Promise<void>;
  remove(clientId: string): Promise<void>;
  /** The messages of one user, oldest first. */
  list(userId: string): Promise<Unsent[]>;
}

export class MemoryOutbox implements Outbox {
  private readonly kept = new Map<string, Unsent>();

  async put(m: Unsent): Promise<void> {
    this.kept.set(m.clientId, m);
  }

  async remove(clientId: string): Promise<void> {
    this.kept.delete(clientId);
  }

  async list(userId: string): Promise<Unsent[]> {
    return inOrder(this.kept.values(), userId);
  }
}

function inOrder(all: Iterable<Unsent>, userId: string): Unsent[] {
  return [...all].filter((m) => m.userId === userId).sort((a, b) => (a.clientId < b.clientId ? -1 : 1));
}

const store = "unsent";

class IdbOutbox implements Outbox {
  private readonly db: IDBDatabase;

  constructor(db: IDBDatabase) {
    this.db = db;
  }

  async put(m: Unsent): Promise<void> {
    await this.run("readwrite", (s) => s.put(m));
  }

  async remove(clientId: string): Promise<void> {
    await this.run("readwrite", (s) => s.delete(clientId));
  }

  async list(userId: string): Promise<Unsent[]> {
    return inOrder(await this.run<Unsent[]>("readonly", (s) => s.getAll()), userId);
  }

  private run<T>(mode: IDBTransactionMode, use: (s: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const tx = this.db.transaction(store, mode);
      const request = use(tx.objectStore(store));
      tx.oncomplete = () => resolve(request.result);
      tx.onabort = () => reject(tx.error);
      tx.onerror = () => reject(tx.error);
    });
  }
}

/** Falls back to memory for good once the database fails, keeping what memory already holds. */
class SafeOutbox implements Outbox {
  private readonly memory = new MemoryOutbox();
  private readonly db: Promise<Outbox | undefined>;

  constructor(db: Promise<Outbox | undefined>) {
    this.db = db.catch(() => undefined);
  }

  async put(m: Unsent): Promise<void> {
    await this.memory.put(m);
    await (await this.db)?.put(m).catch(() => undefined);
  }

  async remove(clientId: string): Promise<void> {
    await this.memory.remove(clientId);
    await (await this.db)?.remove(clientId).catch(() => undefined);
  }

  async list(userId: string): Promise<Unsent[]> {
    const all = new Map<string, Unsent>();
    for (const m of (await (await this.db)?.list(userId).catch(() => [])) ?? []) all.set(m.clientId, m);
    for (const m of await this.memory.list(userId)) all.set(m.clientId, m);
    return inOrder(all.values(), userId);
  }
}

/** Opens the outbox of this origin. It always works; see Outbox for what happens without IndexedDB. */
export function openOutbox(name: string): Outbox {
  return new SafeOutbox(
    new Promise((resolve, reject) => {
      if (typeof indexedDB === "undefined") {
        resolve(undefined);
        return;
      }
      const request = indexedDB.open(name, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(store, { keyPath: "clientId" });
      request.onsuccess = () => resolve(new IdbOutbox(request.result));
      request.onerror = () => reject(request.error);
      request.onblocked = () => resolve(undefined);
    }),
  );
}
