import { create } from "zustand";

/** What this browser remembers for a person; nothing here is a secret. */
function read<T>(name: string, fallback: T): T {
  try {
    const text = localStorage.getItem(name);
    return text === null ? fallback : (JSON.parse(text) as T);
  } catch {
    return fallback;
  }
}

function write(name: string, value: unknown): void {
  try {
    if (value === undefined) localStorage.removeItem(name);
    else localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Full or forbidden: it holds until the page is left.
  }
}

const widths = "omni.widths";

export interface Widths {
  list: number;
  contact: number;
}

export const defaultWidths: Widths = { list: 320, contact: 320 };

export const limits: Record<keyof Widths, [number, number]> = { list: [280, 480], contact: [280, 420] };

interface UiState {
  widths: Widths;
  setWidth(column: keyof Widths, px: number): void;
  /** The contact drawer, on screens too narrow for the column. */
  contactOpen: boolean;
  setContactOpen(open: boolean): void;
  helpOpen: boolean;
  setHelpOpen(open: boolean): void;
}

export const useUi = create<UiState>((set) => ({
  widths: { ...defaultWidths, ...read<Partial<Widths>>(widths, {}) },
  setWidth: (column, px) =>
    set((s) => {
      const [min, max] = limits[column];
      const next = { ...s.widths, [column]: Math.min(max, Math.max(min, Math.round(px))) };
      write(widths, next);
      return { widths: next };
    }),
  contactOpen: false,
  setContactOpen: (contactOpen) => set({ contactOpen }),
  helpOpen: false,
  setHelpOpen: (helpOpen) => set({ helpOpen }),
}));

interface DraftState {
  /** By interaction. */
  drafts: Record<string, string>;
  userId: string;
  load(userId: string): void;
  set(interactionId: string, text: string): void;
}

const draftName = (userId: string) => `omni.drafts.${userId}`;

/** Texts begun and not sent, per user of this browser. They survive a crash and a logout (CO7, ST10). */
export const useDrafts = create<DraftState>((set, get) => ({
  drafts: {},
  userId: "",
  load: (userId) => {
    if (get().userId !== userId) set({ userId, drafts: read<Record<string, string>>(draftName(userId), {}) });
  },
  set: (interactionId, text) => {
    const { [interactionId]: _, ...rest } = get().drafts;
    const drafts = text ? { ...rest, [interactionId]: text } : rest;
    set({ drafts });
    write(draftName(get().userId), Object.keys(drafts).length > 0 ? drafts : undefined);
  },
}));
