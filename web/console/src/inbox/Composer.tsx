import { Button } from "@mantine/core";
import { type Interaction, TypingReporter } from "@omni/shared";
import { SendHorizontal } from "lucide-react";
import { useEffect, useLayoutEffect, useMemo, useRef } from "react";
import { t } from "../i18n";
import { take } from "../live/files";
import { useChannel, useContact, useLiveClient } from "../live/hooks";
import { sameFamily } from "../live/live";
import { contactName } from "../ui/names";
import { useDrafts } from "../ui/prefs";
import { AttachButton, AttachmentList, useAttachments, useDrop } from "./Attachments";
import s from "./inbox.module.css";
import { SMSCounter, SMSOffer } from "./SMSCounter";

/** Where the counter begins to show: when less than this share of the text is left. */
const tight = 0.2;

export function Composer({ interaction: i }: { interaction: Interaction }) {
  const live = useLiveClient();
  const channel = useChannel(i.channelId);
  const contact = useContact(i.contactId).data;
  const text = useDrafts((d) => d.drafts[i.id] ?? "");
  const setDraft = useDrafts((d) => d.set);
  const box = useRef<HTMLTextAreaElement>(null);
  const composing = useRef(false);
  const form = useRef<HTMLFormElement>(null);
  const files = useAttachments(i);
  useDrop(form, files);
  const typing = useMemo(() => new TypingReporter((stop) => live.reportTyping(i.id, stop)), [live, i.id]);
  useEffect(() => () => typing.stop(), [typing]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is what changes the height
  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    el.style.height = "auto";
    el.style.height = `${el.scrollHeight}px`;
  }, [text]);

  const name = contactName(i);
  const identity = contact?.identities.find(
    (x) => x.address === i.contactAddress && sameFamily(x.channelType, i.channelType),
  );
  if (identity?.optedOutAt) {
    const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(identity.optedOutAt);
    return (
      <div className={s.composer} id="composer" tabIndex={-1} data-testid="composer-opted-out">
        <div className={s.statement} role="status">
          <p>{t("composer.optedOut", { name, channel: t(`channel.${i.channelType}`), date })}</p>
          <p className={s.meta}>{t("composer.optedOutHint")}</p>
          {text && (
            <p className={s.meta}>
              {t("composer.stillDraft")} <bdi>{text}</bdi>
            </p>
          )}
        </div>
      </div>
    );
  }

  const able = channel?.capabilities;
  // Where text cannot stand beside files it goes as a message of its own.
  const caption = files.attached.length > 0 && able?.captions;
  const max = (caption && able.maxCaptionLength) || able?.maxTextLength;
  if (max === 0) {
    return (
      <div className={s.composer} id="composer" tabIndex={-1}>
        <p className={s.statement}>{t("composer.noText")}</p>
      </div>
    );
  }
  const segmented = channel?.capabilities.segmented;
  const left = max === undefined ? Number.POSITIVE_INFINITY : max - text.trim().length;
  const sendable = (text.trim() !== "" || files.attached.length > 0) && files.ready && left >= 0;

  const send = () => {
    if (!sendable) return;
    const taken = take(i.id);
    if (taken.length > 0) live.send(i.id, caption ? text.trim() : "", taken);
    if (text.trim() && (taken.length === 0 || !caption)) live.send(i.id, text.trim());
    setDraft(i.id, "");
    typing.stop();
    box.current?.focus();
  };
  const onKeyDown = (e: React.KeyboardEvent) => {
    // 229: Safari ends the composition before the key that ended it (CO10).
    const ime = composing.current || e.nativeEvent.isComposing || e.keyCode === 229;
    if (e.key !== "Enter" || e.shiftKey || e.altKey || ime) return;
    e.preventDefault();
    send();
  };
  return (
    <form
      ref={form}
      className={s.composer}
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <AttachmentList id={i.id} files={files} />
      <textarea
        ref={box}
        id="composer"
        className={s.input}
        rows={2}
        value={text}
        dir="auto"
        aria-label={t("composer.label", { name })}
        aria-describedby="composer-hint"
        aria-invalid={left < 0 || undefined}
        placeholder={t("composer.placeholder")}
        onChange={(e) => {
          setDraft(i.id, e.currentTarget.value);
          if (e.currentTarget.value) typing.typed();
          else typing.stop();
        }}
        onKeyDown={onKeyDown}
        onPaste={files.onPaste}
        onCompositionStart={() => {
          composing.current = true;
        }}
        onCompositionEnd={() => {
          composing.current = false;
        }}
        onBlur={() => typing.stop()}
        data-testid="composer"
      />
      {segmented && (
        <SMSOffer
          text={text}
          onReplace={(plain) => {
            setDraft(i.id, plain);
            box.current?.focus();
          }}
        />
      )}
      <div className={s.sendRow}>
        <AttachButton files={files} />
        <span id="composer-hint" className={s.hint}>
          {t("composer.hint")}
        </span>
        {segmented && <SMSCounter text={text} />}
        {left < 0 ? (
          <span className={s.over} role="alert">
            {t("composer.over", { count: -left })}
          </span>
        ) : (
          max !== undefined &&
          left < max * tight && <span className={s.meta}>{t("composer.left", { count: left })}</span>
        )}
        <Button
          type="submit"
          size="xs"
          disabled={!sendable}
          leftSection={<SendHorizontal size={14} aria-hidden="true" />}
          data-testid="send"
        >
          {t("composer.send")}
        </Button>
      </div>
    </form>
  );
}
