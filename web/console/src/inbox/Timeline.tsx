import { Button } from "@mantine/core";
import { day, type Interaction } from "@omni/shared";
import { ArrowDown } from "lucide-react";
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { type Components, Virtuoso, type VirtuosoHandle } from "react-virtuoso";
import { useMe } from "../api/session";
import { t } from "../i18n";
import { useChannel, useLiveClient, useThread, useUsers } from "../live/hooks";
import { useLive } from "../live/store";
import { Failure } from "../ui/Failure";
import { contactName } from "../ui/names";
import { useDelayed } from "../ui/useDelayed";
import { Bubble } from "./Bubble";
import { type Entry, entries } from "./entries";
import s from "./inbox.module.css";
import { useReadMarks } from "./useReadMarks";

/** Far from 0 in both directions: older messages take lower indexes, so that what is on screen keeps its own. */
const origin = 1_000_000;

interface Context {
  older: "none" | "loading" | "failed" | "start";
  retry(): void;
}

const components: Components<Entry, Context> = {
  Header: function Header({ context }) {
    if (context.older === "loading") return <p className={s.olderLine}>{t("thread.older")}</p>;
    if (context.older === "failed") return <Failure text={t("thread.olderFailed")} onRetry={context.retry} />;
    if (context.older === "start") return <p className={s.olderLine}>{t("thread.start")}</p>;
    return null;
  },
  Footer: function Footer() {
    return <div className={s.threadEnd} />;
  },
};

export function Timeline({ interaction }: { interaction: Interaction }) {
  const me = useMe();
  const live = useLiveClient();
  const users = useUsers();
  const channel = useChannel(interaction.channelId);
  const thread = useThread(interaction.id);
  const allPending = useLive((x) => x.pending);
  const name = contactName(interaction);
  const skeleton = useDelayed(thread.isPending);
  // What was new when the thread was opened stays marked while it is open.
  const [newFrom] = useState(() => (interaction.unread > 0 ? interaction.agentReadSeq + 1 : 0));

  const items = thread.data?.items;
  const rows = useMemo(
    () =>
      entries(
        items ?? [],
        allPending.filter((p) => p.interactionId === interaction.id),
        newFrom,
        me.id,
      ),
    [items, allPending, interaction.id, newFrom, me.id],
  );

  // How many older messages were put before those that the thread was opened with.
  const anchor = useRef<number>(undefined);
  anchor.current ??= items?.[0]?.seq;
  const prepended = items?.filter((m) => m.seq < (anchor.current ?? 0)).length ?? 0;
  const firstItemIndex = origin - prepended;

  const virtuoso = useRef<VirtuosoHandle>(null);
  const scroller = useRef<HTMLElement | null>(null);
  const [scrollerEl, setScrollerEl] = useState<HTMLElement | null>(null);
  const [atEnd, setAtEnd] = useState(true);
  const [older, setOlder] = useState<"none" | "loading" | "failed">("none");
  const [topDay, setTopDay] = useState("");
  const lastSeq = items?.at(-1)?.seq ?? 0;
  const [seenSeq, setSeenSeq] = useState(0);
  useEffect(() => {
    if (atEnd) setSeenSeq(lastSeq);
  }, [atEnd, lastSeq]);
  const below = items?.filter((m) => m.seq > seenSeq && m.direction === "INBOUND").length ?? 0;
  const observe = useReadMarks(scrollerEl, interaction, (seq) => void live.reportRead(interaction.id, seq));

  const toEnd = useCallback(
    () => virtuoso.current?.scrollToIndex({ index: "LAST", align: "end", behavior: "auto" }),
    [],
  );
  // A banner or a growing composer takes room from the bottom: the end stays in view if it was.
  const pinned = useRef(true);
  pinned.current = atEnd;
  useEffect(() => {
    if (!scrollerEl) return;
    const o = new ResizeObserver(() => {
      if (pinned.current) toEnd();
    });
    o.observe(scrollerEl);
    return () => o.disconnect();
  }, [scrollerEl, toEnd]);
  // One's own message is always brought into view.
  const ownCount = rows.filter((r) => r.pending).length;
  const before = useRef(ownCount);
  useEffect(() => {
    if (ownCount > before.current) toEnd();
    before.current = ownCount;
  }, [ownCount, toEnd]);

  const hasMore = thread.data?.hasMore ?? false;
  const loadOlder = useCallback(async () => {
    if (!hasMore) return;
    setOlder("loading");
    try {
      await live.readOlder(interaction.id);
      setOlder("none");
    } catch {
      setOlder("failed");
    }
  }, [hasMore, live, interaction.id]);

  const [focused, setFocused] = useState<string>();
  const focusRow = (at: number) => {
    const row = rows[at];
    if (!row) return;
    setFocused(row.key);
    virtuoso.current?.scrollIntoView({
      index: at,
      done: () => scroller.current?.querySelector<HTMLElement>(`[data-entry="${CSS.escape(row.key)}"]`)?.focus(),
    });
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    if (e.ctrlKey || e.metaKey || e.altKey || (e.target as HTMLElement).closest("a, button")) return;
    const at = rows.findIndex((r) => r.key === focused);
    const inside = (e.target as HTMLElement).closest("[data-entry]") !== null;
    const to = {
      ArrowUp: inside ? at - 1 : rows.length - 1,
      ArrowDown: inside ? at + 1 : rows.length - 1,
      Home: 0,
      End: rows.length - 1,
    }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    focusRow(Math.max(0, to));
  };

  if (thread.isPending) {
    return (
      <div className={s.grow} id="thread" tabIndex={-1}>
        {skeleton && <Skeleton />}
      </div>
    );
  }
  if (thread.isError && !thread.data) {
    return (
      <div className={s.grow} id="thread" tabIndex={-1}>
        <Failure text={t("thread.failed")} error={thread.error} onRetry={() => void thread.refetch()} />
      </div>
    );
  }
  const newAt = rows.findIndex((r) => r.isNew);
  const context: Context = {
    older: older !== "none" ? older : hasMore ? "none" : "start",
    retry: () => void loadOlder(),
  };
  return (
    <section
      className={s.thread}
      id="thread"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and arrow keys move through its messages (AX3)
      tabIndex={0}
      aria-label={t("thread.label", { name })}
      onKeyDown={onKeyDown}
      data-testid="thread"
    >
      {rows.length === 0 && <p className={s.empty}>{t("thread.empty")}</p>}
      {rows.length > 0 && (
        <>
          {topDay && (
            <p className={s.topDay} aria-hidden="true">
              <span>{topDay}</span>
            </p>
          )}
          <Virtuoso<Entry, Context>
            ref={virtuoso}
            scrollerRef={(el) => {
              scroller.current = el as HTMLElement | null;
              setScrollerEl(el as HTMLElement | null);
            }}
            tabIndex={-1}
            data={rows}
            context={context}
            components={components}
            firstItemIndex={firstItemIndex}
            computeItemKey={(_, e) => e.key}
            initialTopMostItemIndex={newAt >= 0 ? { index: newAt, align: "start" } : { index: "LAST", align: "end" }}
            alignToBottom
            followOutput={(end) => (end ? "auto" : false)}
            atBottomThreshold={80}
            atBottomStateChange={setAtEnd}
            startReached={() => older !== "loading" && void loadOlder()}
            increaseViewportBy={{ top: 600, bottom: 300 }}
            defaultItemHeight={64}
            rangeChanged={({ startIndex }) => {
              const e = rows[startIndex - firstItemIndex];
              setTopDay(e && !e.day ? day(e.at, live.socket.now()) : "");
            }}
            itemContent={(_, e) => (
              <div className={s.entry}>
                {e.day && (
                  <h2 className={s.day}>
                    <span>{day(e.at, live.socket.now())}</span>
                  </h2>
                )}
                {e.isNew && (
                  <p className={s.newLine} data-testid="new-line">
                    <span>{t("thread.new")}</span>
                  </p>
                )}
                <Bubble
                  entry={e}
                  contact={name}
                  contactId={interaction.contactId}
                  agent={
                    e.message?.userId === me.id || e.pending ? t("bubble.fromYou") : users.nameOf(e.message?.userId)
                  }
                  receipts={channel?.capabilities.deliveryStatus ?? true}
                  reactions={channel?.capabilities.reactions ?? false}
                  me={me.id}
                  replied={e.message?.replyTo ? (items?.find((m) => m.id === e.message?.replyTo) ?? null) : undefined}
                  onReplied={(id) => focusRow(rows.findIndex((r) => r.message?.id === id))}
                  observe={observe}
                />
              </div>
            )}
          />
        </>
      )}
      {!atEnd && (
        <Button
          className={s.toEnd ?? ""}
          size="xs"
          radius="xl"
          variant="default"
          onClick={toEnd}
          aria-label={below > 0 ? undefined : t("thread.toEnd")}
          rightSection={below > 0 ? <ArrowDown size={14} aria-hidden="true" /> : undefined}
          data-testid="to-end"
        >
          {below > 0 ? t("thread.newBelow", { count: below }) : <ArrowDown size={14} aria-hidden="true" />}
        </Button>
      )}
    </section>
  );
}

function Skeleton() {
  return (
    <div className={s.threadSkeleton} aria-hidden="true" data-testid="thread-skeleton">
      {[60, 40, 75, 50].map((width, n) => (
        <span key={width} data-side={n % 2 ? "end" : "start"} style={{ width: `${width * 0.68}%` }} />
      ))}
    </div>
  );
}
