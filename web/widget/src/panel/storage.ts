/** The frame's own storage. A browser that keeps it from frames of other sites gets a memory that ends with the page. */
export interface Keep {
  get(key: string): string | null;
  set(key: string, value: string): void;
  remove(key: string): void;
  keys(): string[];
}

export function memoryKeep(): Keep {
  const map = new Map<string, string>();
  return {
    get: (k) => map.get(k) ?? null,
    set: (k, v) => void map.set(k, v),
    remove: (k) => void map.delete(k),
    keys: () => [...map.keys()],
  };
}

/** Storage that is full or becomes forbidden later does not lose what was set during this page. */
export function frameKeep(open: () => Storage = () => localStorage): Keep {
  let storage: Storage;
  try {
    storage = open();
    storage.setItem("omni.probe", "1");
    storage.removeItem("omni.probe");
  } catch {
    return memoryKeep();
  }
  const memory = memoryKeep();
  return {
    get: (k) => memory.get(k) ?? storage.getItem(k),
    set(k, v) {
      try {
        storage.setItem(k, v);
        memory.remove(k);
      } catch {
        memory.set(k, v);
      }
    },
    remove(k) {
      memory.remove(k);
      storage.removeItem(k);
    },
    keys() {
      const keys = new Set(memory.keys());
      for (let i = 0; i < storage.length; i++) keys.add(storage.key(i) as string);
      return [...keys];
    },
  };
}
