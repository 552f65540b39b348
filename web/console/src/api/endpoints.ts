import type { Interaction, Message, Owner } from "@omni/shared";
import { data } from "./http";
import type { Channel, Contact, InteractionPage, Me, MessagePage, Template, User, View } from "./records";
import { client } from "./session";

export interface ListFilter {
  view: View;
  state: "open" | "resolved";
}

/** What a call gave, as one of our records: records.ts has the compiler check that they fit. */
async function as<T>(call: Promise<{ data?: unknown }>): Promise<T> {
  return (await data(call)) as T;
}

const one = (id: string) => ({ path: { id } });
/** The small lists: nobody has more of these than a page holds. */
const all = { query: { limit: 200 } };

export const api = {
  me: (signal?: AbortSignal) => as<Me>(client.GET("/api/v1/me", { signal: signal ?? null })),
  users: async (signal?: AbortSignal): Promise<User[]> =>
    (await data(client.GET("/api/v1/users", { params: all, signal: signal ?? null }))).items,
  channels: async (signal?: AbortSignal) =>
    (await as<{ items: Channel[] }>(client.GET("/api/v1/channels", { params: all, signal: signal ?? null }))).items,
  contact: (id: string, signal?: AbortSignal) =>
    as<Contact>(client.GET("/api/v1/contacts/{id}", { params: one(id), signal: signal ?? null })),
  /** All templates of a carrier account, by name. */
  templates: async (carrierAccountId: string, signal?: AbortSignal): Promise<Template[]> => {
    const found: Template[] = [];
    for (let cursor = ""; ; ) {
      const query = { carrierAccountId, limit: 200, ...(cursor && { cursor }) };
      const page = await as<{ items: Template[]; next?: string }>(
        client.GET("/api/v1/templates", { params: { query }, signal: signal ?? null }),
      );
      found.push(...page.items);
      if (!page.next) return found;
      cursor = page.next;
    }
  },
  ticket: async () => (await data(client.POST("/api/v1/realtime/tickets", { body: {} }))).ticket,

  interactions: (f: ListFilter, page: { cursor?: string; limit: number }, signal?: AbortSignal) =>
    as<InteractionPage>(
      client.GET("/api/v1/interactions", { params: { query: { ...f, ...page } }, signal: signal ?? null }),
    ),
  interaction: (id: string, signal?: AbortSignal) =>
    as<Interaction & Pick<InteractionPage, "topics">>(
      client.GET("/api/v1/interactions/{id}", { params: one(id), signal: signal ?? null }),
    ),
  messages: (id: string, page: { before?: number; limit: number }, signal?: AbortSignal) =>
    as<MessagePage>(
      client.GET("/api/v1/interactions/{id}/messages", { params: { ...one(id), query: page }, signal: signal ?? null }),
    ),

  message: async (id: string, signal?: AbortSignal) =>
    (await as<{ message: Message }>(client.GET("/api/v1/messages/{id}", { params: one(id), signal: signal ?? null })))
      .message,

  act: (id: string, action: "claim" | "release" | "resolve" | "reopen", version: number) =>
    as<Interaction>(client.POST(`/api/v1/interactions/{id}/${action}`, { params: one(id), body: { version } })),
  assign: (id: string, owner: Owner, version: number) =>
    as<Interaction>(client.POST("/api/v1/interactions/{id}/assign", { params: one(id), body: { version, owner } })),
};
