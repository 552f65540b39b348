import { clock, fullTime, isCode, type MediaFile, type Message } from "@omni/shared";
import { CircleSlash, CornerUpLeft } from "lucide-react";
import { useCallback } from "react";
import { t } from "../i18n";
import { putBack, type UploadedFile } from "../live/files";
import { useLiveClient } from "../live/hooks";
import { preview } from "../live/patch";
import { Avatar, ChannelIcon } from "../ui/Avatar";
import { useDrafts } from "../ui/prefs";
import type { Entry } from "./entries";
import { FileCard } from "./FileCard";
import s from "./inbox.module.css";
import { type ShownStatus, StatusMark, statusText } from "./StatusMark";
import { Text } from "./Text";

interface Props {
  entry: Entry;
  contact: string;
  contactId: string;
  /** Who of us wrote it, for outgoing messages. */
  agent: string | undefined;
  /** The channel reports deliveries. */
  receipts: boolean;
  /** The message this one answers; null: it is not loaded. */
  replied?: Message | null | undefined;
  onReplied?: (id: string) => void;
  observe?: (el: HTMLElement | null, seq: number) => (() => void) | undefined;
}

export function Bubble({ entry, contact, contactId, agent, receipts, replied, onReplied, observe }: Props) {
  const { message: m, pending } = entry;
  const outgoing = pending !== undefined || m?.direction === "OUTBOUND";
  const sender = outgoing ? (agent ?? t("bubble.agent")) : contact;
  const status: ShownStatus | undefined = pending
    ? pending.error
      ? "failed"
      : "local"
    : outgoing
      ? m?.status
      : undefined;
  const failed = status === "failed" || status === "undeliverable";
  const full = fullTime(entry.at);
  const label = t("bubble.label", {
    sender,
    time: full,
    status: status ? `, ${statusText(status, receipts)}` : "",
  });
  const seq = !outgoing && m ? m.seq : 0;
  const ref = useCallback((el: HTMLElement | null) => (seq > 0 ? observe?.(el, seq) : undefined), [observe, seq]);
  const text = m?.payload.text ?? pending?.text ?? "";
  return (
    <article
      ref={ref}
      className={s.message}
      data-side={outgoing ? "end" : "start"}
      data-first={entry.first || undefined}
      data-entry={entry.key}
      tabIndex={-1}
      aria-label={label}
      data-testid="message"
      data-direction={outgoing ? "OUTBOUND" : "INBOUND"}
      data-status={status}
    >
      <span className={s.messageAvatar}>{!outgoing && entry.first && <Avatar id={contactId} name={contact} />}</span>
      <div className={s.messageBody}>
        {entry.first && (
          <p className={s.sender} aria-hidden="true" dir="auto">
            {sender}
          </p>
        )}
        <div className={s.bubble} data-failed={failed || undefined} title={full}>
          {replied !== undefined && (
            <button
              type="button"
              className={s.quote}
              onClick={() => replied && onReplied?.(replied.id)}
              disabled={!replied}
            >
              <CornerUpLeft size={12} aria-hidden="true" />
              <span className="sr-only">{t("bubble.replyTo")}</span>
              <bdi>{replied ? preview(replied, (k) => t(`kind.${k as "image"}`)) : t("bubble.replyGone")}</bdi>
            </button>
          )}
          {(m?.payload.files ?? pending?.files?.map(waiting))?.map((f, n) => (
            <FileCard key={f.id ?? `${n}`} message={m} file={f} sender={sender} time={clock(entry.at)} />
          ))}
          {m?.payload.type === "unsupported" && (
            <p className={s.unsupported}>
              <CircleSlash size={16} aria-hidden="true" />
              {t("bubble.unsupported", { kind: m.payload.unsupported || t("kind.unsupported") })}
            </p>
          )}
          {text && (
            <p className={s.text} dir="auto" data-testid="message-text">
              <Text text={text} marks={m?.channelType === "WhatsApp"} />
            </p>
          )}
          {(entry.last || status !== undefined) && (
            <p className={s.stamp} aria-hidden="true">
              {m && outgoing && <ChannelIcon type={m.channelType} size={12} />}
              <time dateTime={new Date(entry.at).toISOString()}>{clock(entry.at)}</time>
              {status && <StatusMark status={status} receipts={receipts} />}
            </p>
          )}
        </div>
        {failed && <FailedLine message={m} entry={entry} />}
      </div>
    </article>
  );
}

/** A file of a message that is not sent yet. */
const waiting = ({ expiresAt: _, ...f }: UploadedFile): MediaFile => ({ ...f, state: "ready" });

/** Why it did not get through, in plain words, and only what can help (TH5). */
function FailedLine({ message, entry }: { message: Message | undefined; entry: Entry }) {
  const live = useLiveClient();
  const setDraft = useDrafts((d) => d.set);
  const { pending } = entry;
  const error = pending?.error;
  const edit = () => {
    if (!pending) return;
    const draft = useDrafts.getState().drafts[pending.interactionId];
    live.discard(pending.clientId);
    putBack(pending.interactionId, pending.files ?? []);
    setDraft(pending.interactionId, draft ? `${draft}\n${pending.text}`.trim() : pending.text);
    document.querySelector<HTMLElement>("#composer")?.focus();
  };
  const code = message?.errorCode;
  return (
    <div className={s.failed} data-testid="failed-reason">
      <p>{error ? t("bubble.notSent", { message: error.message }) : message?.errorText || t("status.failed")}</p>
      {code && (
        <details>
          <summary>{t("bubble.details")}</summary>
          {t("bubble.code", { code })}
        </details>
      )}
      {pending && (
        <p className={s.failedActions}>
          {!isCode(error, "opted_out", "window_closed", "not_found", "forbidden") && (
            <button type="button" onClick={() => live.retry(pending.clientId)}>
              {t("bubble.retry")}
            </button>
          )}
          <button type="button" onClick={edit}>
            {t("bubble.edit")}
          </button>
          <button type="button" onClick={() => live.discard(pending.clientId)}>
            {t("bubble.discard")}
          </button>
        </p>
      )}
    </div>
  );
}
