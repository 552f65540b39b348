import { useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { createContext, useContext, useEffect, useMemo, useState } from "react";
import { api, type ListFilter } from "../api/endpoints";
import type { Contact, Counts, User } from "../api/records";
import { keys } from "./keys";
import type { Live } from "./live";
import type { Thread } from "./patch";
import { useLive } from "./store";

export const LiveContext = createContext<Live | undefined>(undefined);

export function useLiveClient(): Live {
  const live = useContext(LiveContext);
  if (!live) throw new Error("outside of LiveContext");
  return live;
}

/** One list. Not `enabled`: only what is known of it already. */
export function useList(f: ListFilter, enabled = true) {
  const live = useLiveClient();
  return useInfiniteQuery({
    queryKey: keys.list(f),
    queryFn: ({ pageParam, signal }) => live.readList(f, pageParam, signal),
    initialPageParam: "",
    getNextPageParam: (last) => last.next || undefined,
    enabled,
  });
}

export function useCounts(): Counts | undefined {
  return useQuery<Counts>({ queryKey: keys.counts, enabled: false }).data;
}

export function useInteraction(id: string) {
  return useQuery({
    queryKey: keys.interaction(id),
    queryFn: ({ signal }) => api.interaction(id, signal),
  });
}

export function useThread(id: string) {
  const live = useLiveClient();
  return useQuery({ queryKey: keys.thread(id), queryFn: ({ signal }) => live.readThread(id, signal) });
}

export function useContact(id: string | undefined) {
  return useQuery<Contact>({
    queryKey: keys.contact(id ?? ""),
    queryFn: ({ signal }) => api.contact(id ?? "", signal),
    enabled: Boolean(id),
  });
}

export function useChannel(id: string | undefined) {
  const { data } = useQuery({
    queryKey: keys.channels,
    queryFn: ({ signal }) => api.channels(signal),
    staleTime: 300_000,
  });
  return data?.find((c) => c.id === id);
}

/** The templates of a carrier account; read once somebody looks at them. */
export function useTemplates(accountId: string) {
  return useQuery({
    queryKey: keys.templatesOf(accountId),
    queryFn: ({ signal }) => api.templates(accountId, signal),
    staleTime: 60_000,
  });
}

/** What is known of a thread that something else reads. */
export function useKnownThread(id: string): Thread | undefined {
  const live = useLiveClient();
  const queryFn = ({ signal }: { signal: AbortSignal }) => live.readThread(id, signal);
  return useQuery<Thread>({ queryKey: keys.thread(id), queryFn, enabled: false }).data;
}

export function useGroups() {
  const { data } = useQuery({
    queryKey: keys.groups,
    queryFn: async ({ signal }) => (await api.me(signal)).groups,
    staleTime: 300_000,
  });
  return data;
}

export function useUsers(): { list: User[]; nameOf(id: string | undefined): string | undefined } {
  const { data } = useQuery({ queryKey: keys.users, queryFn: ({ signal }) => api.users(signal), staleTime: 300_000 });
  return useMemo(() => {
    const names = new Map(data?.map((u) => [u.id, u.name]));
    return { list: data ?? [], nameOf: (id) => (id ? names.get(id) : undefined) };
  }, [data]);
}

/** How the connection is to be shown: nothing is said of losses under 2 s, and over 10 s there is a banner (ST4-ST6). */
export function useFreshness(): "live" | "reconnecting" | "offline" | "stopped" {
  const socket = useLive((s) => s.socket);
  const downSince = useLive((s) => s.downSince);
  const down = useElapsed(downSince, [2000, 10_000]);
  if (socket.state === "stopped" && socket.reason !== "closed") return "stopped";
  if (downSince === 0 || down < 2000) return "live";
  return down < 10_000 ? "reconnecting" : "offline";
}

/** Time since `from`, renewed only when it passes one of the marks. */
function useElapsed(from: number, marks: readonly number[]): number {
  const [, renew] = useState(0);
  const list = marks.join();
  useEffect(() => {
    if (from === 0) return;
    const timers = list.split(",").flatMap((mark) => {
      const left = from + Number(mark) - Date.now();
      return left > 0 ? [setTimeout(() => renew((n) => n + 1), left + 1)] : [];
    });
    return () => timers.forEach(clearTimeout);
  }, [from, list]);
  return from === 0 ? 0 : Date.now() - from;
}

/** The server's time, renewed every `everyMs`. */
export function useNow(everyMs: number): number {
  const live = useLiveClient();
  const [now, setNow] = useState(() => live.socket.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(live.socket.now()), everyMs);
    return () => clearInterval(timer);
  }, [live, everyMs]);
  return now;
}
