import { age, type Interaction } from "@omni/shared";
import { Hourglass } from "lucide-react";
import { memo } from "react";
import { Link } from "react-router";
import { t } from "../i18n";
import { useGroups, useNow, useUsers } from "../live/hooks";
import { useLive } from "../live/store";
import { Avatar } from "../ui/Avatar";
import { contactName, ownerName } from "../ui/names";
import { useDrafts } from "../ui/prefs";
import s from "./inbox.module.css";

interface Props {
  interaction: Interaction;
  href: string;
  open: boolean;
  tabStop: boolean;
  onFocus?: () => void;
}

/** One conversation of the list (CL2). Its accessible name is all that it shows, with words for the signs (AX2). */
export const Row = memo(function Row({ interaction: i, href, open, tabStop, onFocus }: Props) {
  const now = useNow(30_000);
  const users = useUsers();
  const groups = useGroups();
  const draft = useDrafts((d) => (open ? undefined : d.drafts[i.id]));
  const failed = useLive((x) => x.pending.some((p) => p.interactionId === i.id && p.error));
  const name = contactName(i);
  const owner = i.owner.type === "User" ? ownerName(i.owner, users, groups) : undefined;
  const group = groups?.find((g) => g.id === i.groupId);
  const time = age(i.lastMessageAt, now);
  const waiting = i.waitingSince && i.state !== "resolved" ? age(i.waitingSince, now) : "";
  const unread = i.unread > 0;
  const preview = draft ?? i.lastPreview ?? "";
  const prefix = draft ? t("row.draft") : i.lastDirection === "OUTBOUND" ? t("row.you") : "";
  return (
    <Link
      to={href}
      className={s.row}
      data-unread={unread || undefined}
      data-row={i.id}
      data-testid="conversation-row"
      aria-current={open ? "true" : undefined}
      tabIndex={tabStop ? 0 : -1}
      onFocus={onFocus}
    >
      <span
        className={s.stripe}
        style={group?.colour ? { background: group.colour } : undefined}
        title={group && t("row.group", { name: group.name })}
      />
      <Avatar id={i.contactId} name={i.contactName ?? ""} channel={i.channelType} />
      <span className={s.rowText}>
        <span className={s.rowLine}>
          <span className={s.rowName} dir="auto">
            {name}
          </span>
          <span className="sr-only">{t(`channel.${i.channelType}`)}</span>
          {waiting && (
            <span className={s.waiting} title={t("row.waitingLabel", { time: waiting })}>
              <Hourglass size={11} aria-hidden="true" />
              <span className="sr-only">{t("row.waiting")}</span>
              {waiting}
            </span>
          )}
          <span className={s.rowTime}>{time}</span>
        </span>
        <span className={s.rowPreview}>
          {prefix && <span className={draft ? s.draft : s.you}>{prefix} </span>}
          <bdi>{preview}</bdi>
        </span>
        <span className={s.rowLine}>
          <span className={s.rowMeta}>{group?.name}</span>
          {failed && <span className={s.rowFailed}>{t("row.failed")}</span>}
          {owner && (
            <span className={s.rowOwner} title={t("row.owner", { name: owner })}>
              <Avatar id={i.owner.id} name={owner} small />
              <span className="sr-only">{t("row.owner", { name: owner })}</span>
            </span>
          )}
          {unread && (
            <span className={s.pill}>
              <span aria-hidden="true">{i.unread > 99 ? "99+" : i.unread}</span>
              <span className="sr-only">{t("row.unread", { count: i.unread })}</span>
            </span>
          )}
        </span>
      </span>
    </Link>
  );
});
