import { Button } from "@mantine/core";
import type { Interaction } from "@omni/shared";
import { ArrowUp } from "lucide-react";
import { forwardRef, useEffect, useMemo, useRef, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { type Components, Virtuoso, type VirtuosoHandle } from "react-virtuoso";
import type { ListFilter } from "../api/endpoints";
import type { View } from "../api/records";
import { t } from "../i18n";
import { useCounts, useList } from "../live/hooks";
import { Failure } from "../ui/Failure";
import { useDelayed } from "../ui/useDelayed";
import { Freshness } from "./Freshness";
import s from "./inbox.module.css";
import { held } from "./order";
import { Row } from "./Row";

const views: View[] = ["mine", "unassigned", "all"];

interface ListContext {
  /** How many rows the list has; -1 while that is not known (AX2). */
  total: number;
}

const components: Components<Interaction, ListContext> = {
  List: forwardRef<HTMLDivElement, React.ComponentProps<"div">>(function List({ children, style, ...rest }, ref) {
    return (
      <ul ref={ref as React.Ref<HTMLUListElement>} style={style} data-testid={rest["data-testid" as "id"]}>
        {children}
      </ul>
    );
  }),
  Item: function Item({ children, item: _, context, ...rest }) {
    return (
      <li {...(rest as object)} aria-setsize={context.total} aria-posinset={rest["data-index"] + 1}>
        {children}
      </li>
    );
  },
};

export function useFilter(view: View): ListFilter {
  const [params] = useSearchParams();
  const state = params.get("state") === "resolved" ? "resolved" : "open";
  return useMemo(() => ({ view, state }), [view, state]);
}

/** Order shown to the keyboard keys j and k. */
export const shownOrder: { current: string[] } = { current: [] };

export function ConversationList({ view, conversationId }: { view: View; conversationId: string | undefined }) {
  const filter = useFilter(view);
  const counts = useCounts();
  const [, setParams] = useSearchParams();
  return (
    <>
      <div className={s.listHead}>
        <nav className={s.tabs} aria-label={t("list.views")}>
          {views.map((v) => (
            <Link
              key={v}
              to={{ pathname: `/inbox/${v}${conversationId ? `/${conversationId}` : ""}` }}
              className={s.tab}
              aria-current={v === view ? "page" : undefined}
              data-testid={`tab-${v}`}
            >
              {t(`list.${v}`)} <span className={s.count}>{countText(counts?.[v])}</span>
            </Link>
          ))}
        </nav>
        <label className={s.stateLabel}>
          <span className="sr-only">{t("list.state")}</span>
          <select
            className={s.select}
            value={filter.state}
            onChange={(e) => setParams(e.currentTarget.value === "resolved" ? { state: "resolved" } : {})}
            data-testid="state-filter"
          >
            <option value="open">{t("list.open")}</option>
            <option value="resolved">{t("list.resolved")}</option>
          </select>
        </label>
      </div>
      <Rows key={`${filter.view} ${filter.state}`} filter={filter} conversationId={conversationId} />
      <Freshness />
    </>
  );
}

/** Exact up to 99 (CL1). */
export function countText(n: number | undefined): string {
  if (n === undefined) return "";
  return n > 99 ? "99+" : `${n}`;
}

function Rows({ filter, conversationId }: { filter: ListFilter; conversationId: string | undefined }) {
  const list = useList(filter);
  const skeleton = useDelayed(list.isPending);
  const navigate = useNavigate();
  const virtuoso = useRef<VirtuosoHandle>(null);
  const box = useRef<HTMLDivElement>(null);
  const shown = useRef<string[]>([]);
  const [over, setOver] = useState(false);
  const [within, setWithin] = useState(false);
  const [letIn, setLetIn] = useState(0);
  const [focused, setFocused] = useState<string>();

  const all = useMemo(() => list.data?.pages.flatMap((p) => p.items) ?? [], [list.data]);
  const { rows, waiting } = useMemo(() => {
    void letIn;
    const actual = all.map((i) => i.id);
    const keep = (over || within) && shown.current.length > 0;
    const { order, waiting } = keep ? held(shown.current, actual) : { order: actual, waiting: 0 };
    const byId = new Map(all.map((i) => [i.id, i]));
    return { rows: order.flatMap((id) => byId.get(id) ?? []), waiting };
  }, [all, over, within, letIn]);
  useEffect(() => {
    shown.current = rows.map((i) => i.id);
    shownOrder.current = shown.current;
  }, [rows]);

  // The one tab stop of the list: the row last focused, else the open one, else the first (AX2).
  const stop =
    rows.find((i) => i.id === focused)?.id ?? rows.find((i) => i.id === conversationId)?.id ?? rows[0]?.id ?? "";

  // A row that had focus and went away hands it to the one that took its place (AX4).
  const lastIndex = useRef(-1);
  useEffect(() => {
    if (!focused) return;
    const at = rows.findIndex((i) => i.id === focused);
    if (at >= 0) lastIndex.current = at;
    else if (within && document.activeElement === document.body) {
      focusRow(Math.min(lastIndex.current, rows.length - 1));
    }
  });

  const focusRow = (at: number) => {
    const target = rows[at];
    if (!target) return;
    setFocused(target.id);
    const row = () => box.current?.querySelector<HTMLElement>(`[data-row="${target.id}"]`);
    // A row near the view is in the document already, and focus brings it into view.
    const there = row();
    if (there) there.focus();
    else virtuoso.current?.scrollIntoView({ index: at, done: () => row()?.focus() });
  };

  // What was opened by a key or a link comes into view; focus that was on a row goes along, so that j and k go on from it.
  const listed = rows.length > 0;
  // biome-ignore lint/correctness/useExhaustiveDependencies: once for each that is opened; rows that move later are no reason
  useEffect(() => {
    const at = rows.findIndex((i) => i.id === conversationId);
    if (at < 0) return;
    if (box.current?.contains(document.activeElement)) focusRow(at);
    else virtuoso.current?.scrollIntoView({ index: at });
  }, [conversationId, listed]);

  const onKeyDown = (e: React.KeyboardEvent) => {
    const at = rows.findIndex((i) => i.id === stop);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1 }[e.key];
    if (to === undefined || e.ctrlKey || e.metaKey || e.altKey) return;
    e.preventDefault();
    focusRow(to);
  };

  if (list.isPending) return skeleton ? <Skeletons /> : <div className={s.grow} />;
  if (list.isError && all.length === 0) {
    return (
      <div className={s.grow}>
        <Failure text={t("list.failed")} error={list.error} onRetry={() => void list.refetch()} />
      </div>
    );
  }
  if (rows.length === 0 && waiting === 0) return <Empty filter={filter} onGo={(to) => navigate(to)} />;
  return (
    // Moves between the links inside; the links are what one uses.
    // biome-ignore lint/a11y/noStaticElementInteractions: see above
    <div
      ref={box}
      className={s.rows}
      onPointerEnter={(e) => e.pointerType === "mouse" && setOver(true)}
      onPointerLeave={() => setOver(false)}
      onFocus={() => setWithin(true)}
      onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && setWithin(false)}
      onKeyDown={onKeyDown}
      data-testid="conversation-list"
    >
      {waiting > 0 && (
        <Button
          className={s.newRows ?? ""}
          size="xs"
          radius="xl"
          leftSection={<ArrowUp size={14} aria-hidden="true" />}
          onClick={() => {
            shown.current = [];
            setLetIn((n) => n + 1);
            virtuoso.current?.scrollToIndex(0);
          }}
          data-testid="list-new"
        >
          {t("list.new", { count: waiting })}
        </Button>
      )}
      <Virtuoso<Interaction, ListContext>
        ref={virtuoso}
        data={rows}
        context={{ total: list.hasNextPage ? -1 : rows.length }}
        components={components}
        computeItemKey={(_, i) => i.id}
        fixedItemHeight={72}
        increaseViewportBy={360}
        tabIndex={-1}
        endReached={() => {
          if (list.hasNextPage && !list.isFetchingNextPage && !list.isFetchNextPageError) void list.fetchNextPage();
        }}
        itemContent={(_, i) => (
          <Row
            interaction={i}
            href={`/inbox/${filter.view}/${i.id}${filter.state === "resolved" ? "?state=resolved" : ""}`}
            open={i.id === conversationId}
            tabStop={i.id === stop}
            onFocus={() => setFocused(i.id)}
          />
        )}
      />
      {list.isFetchingNextPage && <p className={s.more}>{t("list.more")}</p>}
      {list.isFetchNextPageError && (
        <Failure text={t("list.moreFailed")} error={list.error} onRetry={() => void list.fetchNextPage()} />
      )}
    </div>
  );
}

function Skeletons() {
  return (
    <div className={s.grow} aria-hidden="true" data-testid="list-skeleton">
      {[1, 2, 3, 4, 5, 6, 7].map((n) => (
        <div key={n} className={s.skeleton}>
          <span className={s.skeletonAvatar} />
          <span className={s.skeletonLines}>
            <span />
            <span />
          </span>
        </div>
      ))}
    </div>
  );
}

/** Why nothing is here, and one way on (ST3). */
function Empty({ filter, onGo }: { filter: ListFilter; onGo: (to: string) => void }) {
  const name = filter.state === "resolved" ? "resolved" : filter.view;
  const to = {
    mine: "/inbox/unassigned",
    unassigned: "/inbox/all",
    all: "/inbox/all?state=resolved",
    resolved: `/inbox/${filter.view}`,
  }[name];
  return (
    <div className={s.empty} data-testid="list-empty">
      <p>{t(`list.empty.${name}`)}</p>
      <Button size="xs" variant="default" onClick={() => onGo(to)}>
        {t(`list.empty.${name}.action`)}
      </Button>
    </div>
  );
}
