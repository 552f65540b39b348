// Files that are attached to an answer and not sent yet, by conversation: they stay while another one is looked at, and those
// that are uploaded stay over a reload.
import { isCode, type MediaType, OmniError, uuidv7 } from "@omni/shared";
import { create } from "zustand";
import { upload } from "../api/upload";

/** A file that the server has, and no message yet. */
export interface UploadedFile {
  id: string;
  type: MediaType;
  contentType: string;
  size: number;
  name: string;
  /** When the server removes it. */
  expiresAt: number;
}

export interface Attached {
  key: string;
  name: string;
  size: number;
  /** As the browser says until it is uploaded; "" if it does not know. */
  contentType: string;
  /** How much is uploaded, from 0 to 1. */
  share: number;
  done?: UploadedFile;
  /** Why the upload failed. */
  error?: OmniError;
}

interface FilesState {
  attached: Record<string, Attached[]>;
  userId: string;
  load(userId: string): void;
}

const storageName = (userId: string) => `omni.files.${userId}`;

export const useFiles = create<FilesState>((set, get) => ({
  attached: {},
  userId: "",
  load: (userId) => {
    if (get().userId !== userId) set({ userId, attached: kept(userId) });
  },
}));

function kept(userId: string): Record<string, Attached[]> {
  try {
    const all = JSON.parse(sessionStorage.getItem(storageName(userId)) ?? "{}") as Record<string, Attached[]>;
    const alive = Object.entries(all).map(
      ([id, files]) => [id, files.filter((f) => (f.done?.expiresAt ?? 0) > Date.now())] as const,
    );
    return Object.fromEntries(alive.filter(([, files]) => files.length > 0));
  } catch {
    return {};
  }
}

function keep(): void {
  const { attached, userId } = useFiles.getState();
  const done = Object.entries(attached).map(([id, files]) => [id, files.filter((f) => f.done)] as const);
  const all = Object.fromEntries(done.filter(([, files]) => files.length > 0));
  try {
    if (Object.keys(all).length > 0) sessionStorage.setItem(storageName(userId), JSON.stringify(all));
    else sessionStorage.removeItem(storageName(userId));
  } catch {
    // Full or forbidden: they are attached until the page is left.
  }
}

function change(interactionId: string, to: (files: Attached[]) => Attached[]): void {
  useFiles.setState((s) => {
    const files = to(s.attached[interactionId] ?? []);
    const { [interactionId]: _, ...rest } = s.attached;
    return { attached: files.length > 0 ? { ...rest, [interactionId]: files } : rest };
  });
  keep();
}

function patch(interactionId: string, key: string, what: Partial<Attached>): void {
  change(interactionId, (files) => files.map((f) => (f.key === key ? { ...f, ...what } : f)));
}

const sources = new Map<string, File>();
const uploads = new Map<string, AbortController>();

/** Attaches files. Each is uploaded by begin. */
export function attach(interactionId: string, files: readonly File[]): void {
  const fresh = files.map((file) => {
    const key = uuidv7();
    sources.set(key, file);
    if (file.type.startsWith("image/")) remember(key, URL.createObjectURL(file));
    return { key, name: file.name, size: file.size, contentType: file.type, share: 0 };
  });
  change(interactionId, (old) => [...old, ...fresh]);
}

/** Uploads an attached file, unless that is done, under way, or has failed. */
export async function begin(interactionId: string, key: string): Promise<void> {
  const f = useFiles.getState().attached[interactionId]?.find((x) => x.key === key);
  const file = sources.get(key);
  if (!f || !file || f.done || f.error || uploads.has(key)) return;
  const giveUp = new AbortController();
  uploads.set(key, giveUp);
  try {
    const { name = "", ...u } = await upload(file, (share) => patch(interactionId, key, { share }), giveUp.signal);
    const preview = previews.get(key);
    if (preview) remember(u.id, preview);
    const done = { ...u, name, type: u.type as MediaType };
    patch(interactionId, key, { share: 1, contentType: u.contentType, size: u.size, name: name || f.name, done });
    sources.delete(key);
  } catch (e) {
    if (giveUp.signal.aborted) return;
    const error = e instanceof OmniError ? e : new OmniError({ code: "internal", message: `${e}` });
    patch(interactionId, key, { share: 0, error });
  } finally {
    uploads.delete(key);
  }
}

/** Tries a file again whose upload failed. */
export function tryAgain(interactionId: string, key: string): void {
  change(interactionId, (files) => files.map(({ error, ...f }) => (f.key === key || !error ? f : { ...f, error })));
  void begin(interactionId, key);
}

/** Whether another try may help. */
export const canTryAgain = (e: OmniError) => !isCode(e, "invalid", "forbidden", "unsupported");

export function detach(interactionId: string, key: string): void {
  uploads.get(key)?.abort();
  sources.delete(key);
  change(interactionId, (files) => files.filter((f) => f.key !== key));
}

/** Moves a file one place towards the first. */
export function moveUp(interactionId: string, key: string): void {
  change(interactionId, (files) => {
    const at = files.findIndex((f) => f.key === key);
    const [f, before] = [files[at], files[at - 1]];
    return f && before ? files.with(at - 1, f).with(at, before) : files;
  });
}

/** Takes the files that are uploaded, for a message. */
export function take(interactionId: string): UploadedFile[] {
  const done = (useFiles.getState().attached[interactionId] ?? []).flatMap((f) => f.done ?? []);
  change(interactionId, (files) => files.filter((f) => !f.done));
  return done;
}

/** Attaches files again that were in a message which was not sent. */
export function putBack(interactionId: string, files: readonly UploadedFile[]): void {
  const back = files.map((done) => ({
    key: uuidv7(),
    name: done.name,
    size: done.size,
    contentType: done.contentType,
    share: 1,
    done,
  }));
  change(interactionId, (old) => [...back, ...old]);
}

/** Pictures that were chosen here, by key and by id, so that they show before and without being read from the server. */
const previews = new Map<string, string>();
const maxPreviews = 100;

function remember(id: string, url: string): void {
  previews.set(id, url);
  for (const [oldest, old] of previews) {
    if (previews.size <= maxPreviews) break;
    previews.delete(oldest);
    if (![...previews.values()].includes(old)) URL.revokeObjectURL(old);
  }
}

/** Keeps a picture that was uploaded in the place of the one on the server. */
export function keepPreview(id: string, file: File): void {
  if (file.type.startsWith("image/")) remember(id, URL.createObjectURL(file));
}

/** The local copy of a picture, by an attachment's key or a file's id. */
export function preview(id: string | undefined): string | undefined {
  return id ? previews.get(id) : undefined;
}
