import type { Interaction, Owner } from "@omni/shared";
import type { Channel, Contact, Group, InteractionPage, Me, MessagePage, User, View } from "./records";
import { call } from "./session";

export interface ListFilter {
  view: View;
  state: "open" | "resolved";
}

function query(params: Record<string, string | number | undefined>): string {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) if (value !== undefined && value !== "") q.set(name, `${value}`);
  return q.size > 0 ? `?${q}` : "";
}

const id = encodeURIComponent;

/** Lists answer either a bare array or a page; we never need more than the first page of these small ones. */
type Some<T> = T[] | { items: T[] };
const items = <T>(s: Some<T>): T[] => (Array.isArray(s) ? s : s.items);

export const api = {
  me: (signal?: AbortSignal) => call<Me>("/me", { signal }),
  users: async (signal?: AbortSignal) => items(await call<Some<User>>("/users?limit=200", { signal })),
  groups: async (signal?: AbortSignal) => items(await call<Some<Group>>("/groups?limit=200", { signal })),
  channels: async (signal?: AbortSignal) => items(await call<Some<Channel>>("/channels?limit=200", { signal })),
  contact: (contact: string, signal?: AbortSignal) => call<Contact>(`/contacts/${id(contact)}`, { signal }),
  ticket: async () => (await call<{ ticket: string }>("/realtime/tickets", { method: "POST", body: {} })).ticket,

  interactions: (f: ListFilter, page: { cursor?: string; limit: number }, signal?: AbortSignal) =>
    call<InteractionPage>(`/interactions${query({ ...f, ...page })}`, { signal }),
  interaction: (interaction: string, signal?: AbortSignal) =>
    call<Interaction>(`/interactions/${id(interaction)}`, { signal }),
  messages: (interaction: string, page: { before?: number; limit: number }, signal?: AbortSignal) =>
    call<MessagePage>(`/interactions/${id(interaction)}/messages${query(page)}`, { signal }),

  act: (interaction: string, action: "claim" | "release" | "resolve" | "reopen", version: number) =>
    call<Interaction>(`/interactions/${id(interaction)}/${action}`, { method: "POST", body: { version } }),
  assign: (interaction: string, owner: Owner, version: number) =>
    call<Interaction>(`/interactions/${id(interaction)}/assign`, { method: "POST", body: { version, owner } }),
};
