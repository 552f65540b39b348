import { ActionIcon, Button, Menu, Tooltip } from "@mantine/core";
import { type Interaction, isCode, OmniError, type Owner } from "@omni/shared";
import { ArrowLeft, Check, ChevronDown, PanelRight, RotateCcw, User, X } from "lucide-react";
import { useCallback, useEffect, useState } from "react";
import { Link, useLocation, useNavigate } from "react-router";
import { api } from "../api/endpoints";
import type { View } from "../api/records";
import { useMe } from "../api/session";
import { t } from "../i18n";
import { useChannel, useGroups, useInteraction, useLiveClient, useUsers } from "../live/hooks";
import { announce } from "../live/store";
import { ChannelIcon } from "../ui/Avatar";
import { Failure } from "../ui/Failure";
import { contactName, ownerName } from "../ui/names";
import { useUi } from "../ui/prefs";
import { Banner } from "./Banner";
import { Composer } from "./Composer";
import s from "./inbox.module.css";
import { Timeline } from "./Timeline";
import { TypingLine } from "./TypingLine";
import { actions } from "./useKeys";

interface Props {
  id: string;
  view: View;
  layout: { contactColumn: boolean; single: boolean };
}

export function Conversation({ id, view, layout }: Props) {
  const { data: interaction, error, refetch } = useInteraction(id);
  const live = useLiveClient();
  useEffect(() => live.openConversation(id), [live, id]);
  if (!interaction) {
    if (!error) return <div className={s.grow} id="thread" tabIndex={-1} />;
    if (isCode(error, "not_found", "forbidden", "invalid")) {
      return (
        <div className={s.none} id="thread" tabIndex={-1} data-testid="conversation-gone">
          <h1 className={s.noneTitle}>{t("thread.gone")}</h1>
          <Link to={`/inbox/${view}`}>{t("thread.goneAction")}</Link>
        </div>
      );
    }
    return <Failure text={t("thread.failed")} error={error} onRetry={() => void refetch()} />;
  }
  return (
    <>
      <Header interaction={interaction} view={view} layout={layout} />
      <Banner channelId={interaction.channelId} />
      <Timeline interaction={interaction} />
      <TypingLine id={id} name={contactName(interaction)} />
      <Composer interaction={interaction} />
    </>
  );
}

function Header({ interaction: i, view, layout }: { interaction: Interaction } & Omit<Props, "id">) {
  const me = useMe();
  const live = useLiveClient();
  const users = useUsers();
  const groups = useGroups();
  const channel = useChannel(i.channelId);
  const navigate = useNavigate();
  const { search } = useLocation();
  const contactOpen = useUi((u) => u.contactOpen);
  const setContactOpen = useUi((u) => u.setContactOpen);
  const [busy, setBusy] = useState(false);
  const [trouble, setTrouble] = useState<{ text: string; requestId: string }>();

  const mine = i.owner.type === "User" && i.owner.id === me.id;
  const owned = i.owner.type === "User";
  const resolved = i.state === "resolved";
  const owner = mine ? t("header.ownedByMe") : owned ? ownerName(i.owner, users, groups) : t("header.unowned");

  const act = useCallback(
    async (done: string, run: () => Promise<Interaction>) => {
      setBusy(true);
      setTrouble(undefined);
      try {
        await live.act(run);
        announce(done);
      } catch (e) {
        setTrouble({
          text: troubleText(e),
          requestId: e instanceof OmniError && e.code !== "conflict" ? e.requestId : "",
        });
      } finally {
        setBusy(false);
      }
    },
    [live],
  );
  const claim = useCallback(
    () => act(t("announce.claimed"), () => api.act(i.id, "claim", i.version)),
    [act, i.id, i.version],
  );
  const assign = (to: Owner) => act(t("announce.assigned"), () => api.assign(i.id, to, i.version));
  const release = () => act(t("announce.released"), () => api.act(i.id, "release", i.version));
  const toggle = useCallback(
    () =>
      resolved
        ? act(t("announce.reopened"), () => api.act(i.id, "reopen", i.version))
        : act(t("announce.resolved"), () => api.act(i.id, "resolve", i.version)),
    [act, i.id, i.version, resolved],
  );

  useEffect(() => {
    const onClaim = () => void (mine || busy || claim());
    const onToggle = () => void (busy || toggle());
    actions.addEventListener("claim", onClaim);
    actions.addEventListener("resolve", onToggle);
    return () => {
      actions.removeEventListener("claim", onClaim);
      actions.removeEventListener("resolve", onToggle);
    };
  }, [claim, toggle, mine, busy]);

  const others = users.list.filter((u) => u.id !== me.id && !u.disabled && u.role !== "service");
  return (
    <>
      <header className={s.header} data-testid="conversation-header">
        {layout.single && (
          <ActionIcon
            variant="subtle"
            color="gray"
            size={44}
            aria-label={t("app.back")}
            onClick={() => navigate({ pathname: `/inbox/${view}`, search })}
            data-testid="back"
          >
            <ArrowLeft size={20} aria-hidden="true" />
          </ActionIcon>
        )}
        <div className={s.who}>
          <h1 className={s.whoName} dir="auto">
            {contactName(i)}
          </h1>
          <p className={s.whoVia}>
            <ChannelIcon type={i.channelType} /> {t(`channel.${i.channelType}`)}
            {channel && <> · {channel.name}</>}
          </p>
        </div>
        <span className={s.state} data-state={i.state} data-testid="conversation-state">
          {t(`header.state.${i.state}`)}
        </span>
        <Menu position="bottom-end" withinPortal>
          <Menu.Target>
            <Button
              variant="default"
              size="xs"
              loading={busy}
              leftSection={<User size={14} aria-hidden="true" />}
              rightSection={<ChevronDown size={14} aria-hidden="true" />}
              aria-label={t("header.ownerMenu", { name: owner })}
              className={s.owner ?? ""}
              data-testid="owner-button"
            >
              <span data-testid="owner-name">{owner}</span>
            </Button>
          </Menu.Target>
          <Menu.Dropdown className={s.ownerMenu ?? ""}>
            {!mine && (
              <Menu.Item onClick={() => void claim()} data-testid="claim">
                {t("header.claim")}
              </Menu.Item>
            )}
            {owned && (
              <Menu.Item onClick={() => void release()} data-testid="release">
                {t("header.release")}
              </Menu.Item>
            )}
            {others.length > 0 && <Menu.Label>{t("header.assignTo")}</Menu.Label>}
            {others.map((u) => (
              <Menu.Item
                key={u.id}
                onClick={() => void assign({ type: "User", id: u.id })}
                disabled={i.owner.type === "User" && i.owner.id === u.id}
                data-testid="assign-user"
              >
                {u.name}
              </Menu.Item>
            ))}
          </Menu.Dropdown>
        </Menu>
        {!owned && !layout.single && (
          <Button size="xs" onClick={() => void claim()} disabled={busy} data-testid="claim-button">
            {t("header.claim")}
          </Button>
        )}
        <Tooltip label={t(resolved ? "header.reopen" : "header.resolve")}>
          <ActionIcon
            variant="default"
            size={32}
            disabled={busy}
            aria-label={t(resolved ? "header.reopen" : "header.resolve")}
            onClick={() => void toggle()}
            data-testid={resolved ? "reopen" : "resolve"}
          >
            {resolved ? <RotateCcw size={16} aria-hidden="true" /> : <Check size={16} aria-hidden="true" />}
          </ActionIcon>
        </Tooltip>
        {!layout.contactColumn && (
          <ActionIcon
            variant="default"
            size={32}
            aria-label={t("header.contact")}
            aria-expanded={contactOpen}
            onClick={() => setContactOpen(!contactOpen)}
            data-testid="contact-toggle"
          >
            <PanelRight size={16} aria-hidden="true" />
          </ActionIcon>
        )}
      </header>
      {trouble && (
        <div className={s.trouble} role="alert" data-testid="conversation-trouble">
          <span>
            {trouble.text}
            {trouble.requestId && <span className={s.meta}> {t("app.requestId", { id: trouble.requestId })}</span>}
          </span>
          <ActionIcon
            variant="subtle"
            color="gray"
            size={24}
            aria-label={t("app.close")}
            onClick={() => setTrouble(undefined)}
          >
            <X size={14} aria-hidden="true" />
          </ActionIcon>
        </div>
      )}
    </>
  );
}

/** Of two agents one wins, and the other is told who (CL8). */
function troubleText(e: unknown): string {
  if (isCode(e, "conflict")) {
    const name = (e.details.by as { name?: string } | undefined)?.name;
    return name ? t("header.conflictBy", { name }) : t("header.conflict");
  }
  if (isCode(e, "offline", "timeout", "unavailable")) return t("login.unreachable");
  return t("header.actionFailed", { message: e instanceof Error ? e.message : "" });
}
