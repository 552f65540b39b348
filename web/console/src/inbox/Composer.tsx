import { Button } from "@mantine/core";
import { countSegments, type Interaction, TypingReporter } from "@omni/shared";
import { LayoutTemplate, SendHorizontal } from "lucide-react";
import { lazy, Suspense, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { t } from "../i18n";
import { take } from "../live/files";
import { useChannel, useContact, useKnownThread, useLiveClient, useNow } from "../live/hooks";
import { sameFamily } from "../live/live";
import { contactName } from "../ui/names";
import { useDrafts } from "../ui/prefs";
import { AttachButton, AttachmentList, useAttachments, useDrop } from "./Attachments";
import s from "./inbox.module.css";
import { SMSCounter, SMSOffer } from "./SMSCounter";
import { actions } from "./useKeys";
import { timeLeft, windowEnds } from "./window";

/** Loaded when somebody looks for a template. */
const TemplatePicker = lazy(() => import("./TemplatePicker"));

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
  const ends = windowEnds(i, channel, useKnownThread(i.id));
  const now = useNow(5000);
  const left = ends === undefined ? undefined : ends - now;
  const accountId = channel?.capabilities.templates ? channel.carrierAccountId : undefined;
  /** The conversation that a template is looked for in: it is another one's no more. */
  const [choosing, setChoosing] = useState("");
  const choose = useCallback(() => setChoosing(accountId ? i.id : ""), [accountId, i.id]);
  useEffect(() => {
    actions.addEventListener("templates", choose);
    return () => actions.removeEventListener("templates", choose);
  }, [choose]);

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

  const picker = choosing === i.id && accountId && (
    <Suspense>
      <TemplatePicker interaction={i} accountId={accountId} identity={identity} onClose={() => setChoosing("")} />
    </Suspense>
  );
  if (left !== undefined && left <= 0) {
    return (
      <div className={s.composer} id="composer" tabIndex={-1} data-testid="composer-window-over">
        <div className={s.statement} role="status">
          <p>{t(accountId ? "composer.windowOver" : "composer.windowOverNoTemplates", { name })}</p>
          {text && (
            <p className={s.meta}>
              {t("composer.stillDraft")} <bdi>{text}</bdi>
            </p>
          )}
        </div>
        {accountId && (
          <div className={s.sendRow}>
            <Button
              size="xs"
              onClick={choose}
              leftSection={<LayoutTemplate size={14} aria-hidden="true" />}
              data-testid="choose-template"
            >
              {t("composer.chooseTemplate")}
            </Button>
          </div>
        )}
        {picker}
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
  const segmented = able?.segmented && files.attached.length === 0;
  const room = max === undefined ? Number.POSITIVE_INFINITY : max - text.trim().length;
  const parts = segmented && able.maxSegments ? countSegments(text.trim()).segments - able.maxSegments : 0;
  const sendable = (text.trim() !== "" || files.attached.length > 0) && files.ready && room >= 0 && parts <= 0;

  const send = () => {
    if (!sendable) return;
    const taken = take(i.id);
    if (taken.length > 0) live.send(i.id, caption ? text.trim() : "", { files: taken });
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
    <>
      {picker}
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
          aria-invalid={room < 0 || undefined}
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
          {left !== undefined && <WindowChip left={left} />}
          <span id="composer-hint" className={s.hint}>
            {t("composer.hint")}
          </span>
          {segmented && <SMSCounter text={text} />}
          {room < 0 ? (
            <span className={s.over} role="alert">
              {t("composer.over", { count: -room })}
            </span>
          ) : parts > 0 ? (
            <span className={s.over} role="alert">
              {t("composer.overParts", { count: parts })}
            </span>
          ) : (
            max !== undefined &&
            room < max * tight && <span className={s.meta}>{t("composer.left", { count: room })}</span>
          )}
          {accountId && (
            <Button
              variant="default"
              size="xs"
              onClick={choose}
              leftSection={<LayoutTemplate size={14} aria-hidden="true" />}
              data-testid="choose-template"
            >
              {t("composer.template")}
            </Button>
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
    </>
  );
}

/** How long free text can still be sent (CO3). */
function WindowChip({ left }: { left: number }) {
  const { hours, minutes, soon } = timeLeft(left);
  return (
    <span className={s.window} data-soon={soon || undefined} data-testid="window">
      {hours > 0 ? t("composer.windowHours", { hours, minutes }) : t("composer.windowMinutes", { minutes })}
    </span>
  );
}
