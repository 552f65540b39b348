import { uuidv7 } from "@omni/shared";
import { describe, expect, test } from "vitest";
import { Queue, queueLife } from "../src/panel/queue";
import { frameKeep, memoryKeep } from "../src/panel/storage";

describe("WG10 the queue", () => {
  test("gives back what waits, oldest first, also to another page", () => {
    const keep = memoryKeep();
    const q = new Queue(keep, "w1", () => 1000);
    const ids = [uuidv7(), uuidv7(), uuidv7()];
    for (const clientId of [...ids].reverse()) q.put({ clientId, text: clientId, at: 1000 });
    expect(new Queue(keep, "w1", () => 2000).all().map((w) => w.clientId)).toEqual(ids);
    q.remove(ids[1] as string);
    expect(q.all().map((w) => w.clientId)).toEqual([ids[0], ids[2]]);
  });

  test("forgets what is older than 24 h", () => {
    const keep = memoryKeep();
    let now = 0;
    const q = new Queue(keep, "w1", () => now);
    q.put({ clientId: "a", text: "hello", at: 0 });
    now = queueLife;
    expect(q.all()).toHaveLength(1);
    now = queueLife + 1;
    expect(q.all()).toHaveLength(0);
    expect(keep.keys()).toHaveLength(0);
  });

  test("keeps widgets apart, and what is broken away", () => {
    const keep = memoryKeep();
    new Queue(keep, "w1", () => 0).put({ clientId: "a", text: "one", at: 0 });
    keep.set("omni.queue.w2.b", "{");
    keep.set("omni.queue.w2.c", '{"clientId":7}');
    const q = new Queue(keep, "w2", () => 0);
    expect(q.all()).toEqual([]);
    expect(keep.keys()).toEqual(["omni.queue.w1.a"]);
  });
});

describe("WG4 the frame's storage", () => {
  test("that is forbidden is a memory", () => {
    const keep = frameKeep(() => {
      throw new DOMException("forbidden", "SecurityError");
    });
    keep.set("a", "1");
    expect(keep.get("a")).toBe("1");
    expect(keep.keys()).toEqual(["a"]);
    keep.remove("a");
    expect(keep.get("a")).toBeNull();
  });

  test("that becomes full loses nothing in this page", () => {
    let full = false;
    const real = new Map<string, string>();
    const storage = {
      get length() {
        return real.size;
      },
      key: (i: number) => [...real.keys()][i] ?? null,
      getItem: (k: string) => real.get(k) ?? null,
      setItem(k: string, v: string) {
        if (full) throw new DOMException("full", "QuotaExceededError");
        real.set(k, v);
      },
      removeItem: (k: string) => void real.delete(k),
      clear: () => real.clear(),
    };
    const keep = frameKeep(() => storage);
    keep.set("a", "1");
    full = true;
    keep.set("b", "2");
    keep.set("a", "3");
    expect(keep.get("a")).toBe("3");
    expect(keep.get("b")).toBe("2");
    expect(keep.keys().sort()).toEqual(["a", "b"]);
  });
});
