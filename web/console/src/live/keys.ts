import type { ListFilter } from "../api/endpoints";

export const keys = {
  me: ["me"] as const,
  users: ["users"] as const,
  channels: ["channels"] as const,
  groups: ["groups"] as const,
  counts: ["counts"] as const,
  lists: ["interactions"] as const,
  list: (f: ListFilter) => ["interactions", f] as const,
  interaction: (id: string) => ["interaction", id] as const,
  threads: ["thread"] as const,
  thread: (id: string) => ["thread", id] as const,
  files: (messageId: string) => ["files", messageId] as const,
  templates: ["templates"] as const,
  templatesOf: (accountId: string) => ["templates", accountId] as const,
  contacts: ["contact"] as const,
  contact: (id: string) => ["contact", id] as const,
};
