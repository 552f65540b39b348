import { Drawer } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { type CSSProperties, type ReactNode, useEffect, useState } from "react";
import { Link, matchPath, useLocation } from "react-router";
import type { View } from "../api/records";
import { useMe } from "../api/session";
import { t } from "../i18n";
import { useFiles } from "../live/files";
import { LiveContext, useList } from "../live/hooks";
import { Live } from "../live/live";
import { SessionOver } from "../login/SessionOver";
import { Announcer } from "../ui/Announcer";
import { ErrorBoundary } from "../ui/ErrorBoundary";
import { useDrafts, useUi } from "../ui/prefs";
import { Resizer } from "../ui/Resizer";
import { useLayout } from "../ui/useMedia";
import { ContactPanel } from "./ContactPanel";
import { Conversation } from "./Conversation";
import { ConversationList } from "./ConversationList";
import { Help } from "./Help";
import s from "./inbox.module.css";
import { Rail } from "./Rail";
import { inboxPath, useKeys } from "./useKeys";

const views: View[] = ["mine", "unassigned", "all"];

/** The inside of the console: rail, list, conversation, contact. */
export default function InboxPage() {
  const me = useMe();
  const qc = useQueryClient();
  const [live, setLive] = useState<Live>();
  useEffect(() => {
    useDrafts.getState().load(me.id);
    useFiles.getState().load(me.id);
    const l = new Live(qc, me.id);
    setLive(l);
    return () => l.stop();
  }, [qc, me.id]);
  const params = useLocationParams();
  if (!live) return null;
  return (
    <LiveContext value={live}>
      {params ? <Columns view={params.view} conversationId={params.conversationId} /> : <NotFound />}
      <SessionOver />
      <Announcer />
    </LiveContext>
  );
}

function useLocationParams(): { view: View; conversationId: string | undefined } | undefined {
  const { pathname } = useLocation();
  const match = matchPath(inboxPath, pathname);
  const view = views.find((v) => v === match?.params.view);
  return view && { view, conversationId: match?.params.conversationId };
}

function Columns({ view, conversationId }: { view: View; conversationId: string | undefined }) {
  const layout = useLayout();
  const widths = useUi((u) => u.widths);
  const contactOpen = useUi((u) => u.contactOpen);
  const setContactOpen = useUi((u) => u.setContactOpen);
  useKeys(view, layout.contactColumn);
  useTitle(view);
  const showList = !layout.single || !conversationId;
  const showThread = !layout.single || conversationId;
  const listWidth = layout.single ? undefined : layout.rail ? widths.list : 280;
  return (
    <div className={s.shell} data-testid="inbox">
      <nav className={s.skips} aria-label={t("skip.list")}>
        <a href="#list">{t("skip.list")}</a>
        <a href="#thread">{t("skip.thread")}</a>
        <a href="#composer">{t("skip.composer")}</a>
      </nav>
      <Rail horizontal={!layout.rail} />
      <div className={s.columns}>
        {showList && (
          <ListColumn className={s.list} style={listWidth ? { width: listWidth } : { flex: 1 }} main={!showThread}>
            <ErrorBoundary resetKey={view}>
              <ConversationList view={view} conversationId={conversationId} />
            </ErrorBoundary>
            {layout.rail && <Resizer column="list" side="end" />}
          </ListColumn>
        )}
        {showThread && (
          <main className={s.main}>
            <ErrorBoundary resetKey={conversationId}>
              {conversationId ? (
                <Conversation key={conversationId} id={conversationId} view={view} layout={layout} />
              ) : (
                <div className={s.none} id="thread" tabIndex={-1}>
                  <h1 className={s.noneTitle}>{t("thread.none")}</h1>
                  <p>{t("thread.noneHint")}</p>
                </div>
              )}
            </ErrorBoundary>
          </main>
        )}
        {layout.contactColumn && conversationId && (
          <aside className={s.contact} style={{ width: widths.contact }} aria-label={t("contact.label")}>
            <Resizer column="contact" side="start" />
            <div className={s.grow}>
              <ErrorBoundary resetKey={conversationId}>
                <ContactPanel conversationId={conversationId} />
              </ErrorBoundary>
            </div>
          </aside>
        )}
      </div>
      {!layout.contactColumn && conversationId && (
        <Drawer
          opened={contactOpen}
          onClose={() => setContactOpen(false)}
          position="right"
          size={360}
          title={t("contact.label")}
          closeButtonProps={{ "aria-label": t("app.close") }}
          lockScroll={false}
        >
          <ContactPanel conversationId={conversationId} />
        </Drawer>
      )}
      <Help />
    </div>
  );
}

/** The list is a labelled region beside the conversation, and the main thing where there is room for nothing else. */
function ListColumn(props: {
  className: string | undefined;
  style: CSSProperties;
  main: boolean;
  children: ReactNode;
}) {
  const rest = { className: props.className, style: props.style, id: "list", tabIndex: -1 };
  if (!props.main) {
    return (
      <section {...rest} aria-label={t("list.label")}>
        {props.children}
      </section>
    );
  }
  return (
    <main {...rest}>
      <h1 className="sr-only">{t("list.label")}</h1>
      {props.children}
    </main>
  );
}

/** Tells view and unread in the title (AX1). */
function useTitle(view: View) {
  const { data } = useList({ view: "mine", state: "open" }, false);
  const unread = data?.pages.reduce((n, p) => n + p.items.filter((i) => i.unread > 0).length, 0) ?? 0;
  useEffect(() => {
    const page = t(`list.${view}`);
    document.title = unread > 0 ? t("title.unread", { count: unread, page }) : t("title.plain", { page });
  }, [unread, view]);
}

function NotFound() {
  return (
    <main className={s.none}>
      <h1 className={s.noneTitle}>{t("notFound.title")}</h1>
      <p>{t("notFound.text")}</p>
      <Link to="/inbox/mine">{t("notFound.action")}</Link>
    </main>
  );
}
