import { ActionIcon, Tooltip } from "@mantine/core";
import { fileSize, type Interaction } from "@omni/shared";
import { ArrowLeft, File as FileIcon, Paperclip, RotateCcw, X } from "lucide-react";
import { type ClipboardEvent, type RefObject, useEffect, useId, useMemo, useRef } from "react";
import { t } from "../i18n";
import { type Attached, attach, begin, canTryAgain, detach, moveUp, preview, tryAgain, useFiles } from "../live/files";
import { useChannel } from "../live/hooks";
import { announce } from "../live/store";
import { fits, limits } from "./fits";
import s from "./inbox.module.css";

const none: Attached[] = [];

/** The files attached in a conversation: they are uploaded as soon as they fit its channel. */
export function useAttachments(i: Interaction) {
  const able = useChannel(i.channelId)?.capabilities;
  const attached = useFiles((f) => f.attached[i.id] ?? none);
  const problems = useMemo(() => fits(attached, able), [attached, able]);
  useEffect(() => {
    attached.forEach((f, n) => {
      if (able && !problems[n]) void begin(i.id, f.key);
    });
  }, [attached, problems, able, i.id]);
  const allowed = (able?.mediaTypes?.length ?? 0) > 0;
  const add = (files: readonly File[]) => {
    if (files.length === 0) return;
    attach(i.id, files);
    announce(t("attach.added", { count: files.length }));
  };
  return {
    attached,
    problems,
    allowed,
    able,
    add,
    /** All of them can go out now. */
    ready: attached.every((f, n) => f.done && !problems[n]),
    /** Takes files that are pasted. Text that comes with them is what was meant, as from a table. */
    onPaste: (e: ClipboardEvent) => {
      const files = [...e.clipboardData.files];
      if (!allowed || files.length === 0 || e.clipboardData.types.includes("text/plain")) return;
      e.preventDefault();
      add(files);
    },
  };
}

type Attachments = ReturnType<typeof useAttachments>;

/** Takes files that are dropped anywhere on the conversation that a part of it stands in. */
export function useDrop(part: RefObject<HTMLElement | null>, files: Attachments): void {
  const latest = useRef(files);
  latest.current = files;
  useEffect(() => {
    const area = part.current?.closest("main") ?? part.current;
    if (!area) return;
    const has = (e: DragEvent) => latest.current.allowed && e.dataTransfer?.types.includes("Files");
    const over = (e: DragEvent) => {
      if (!has(e)) return;
      e.preventDefault();
      area.dataset.drop = t("attach.drop");
    };
    const leave = (e: DragEvent) => {
      if (!(e.relatedTarget instanceof Node && area.contains(e.relatedTarget))) delete area.dataset.drop;
    };
    const drop = (e: DragEvent) => {
      delete area.dataset.drop;
      if (!has(e)) return;
      e.preventDefault();
      latest.current.add([...(e.dataTransfer?.files ?? [])]);
    };
    area.addEventListener("dragover", over);
    area.addEventListener("dragleave", leave);
    area.addEventListener("drop", drop);
    return () => {
      delete area.dataset.drop;
      area.removeEventListener("dragover", over);
      area.removeEventListener("dragleave", leave);
      area.removeEventListener("drop", drop);
    };
  }, [part]);
}

export function AttachButton({ files }: { files: Attachments }) {
  const input = useRef<HTMLInputElement>(null);
  const hint = useId();
  if (!files.allowed || !files.able) return null;
  const text = limits(files.able);
  return (
    <>
      <Tooltip label={text} multiline maw={280}>
        <ActionIcon
          variant="subtle"
          color="gray"
          size={32}
          aria-label={t("attach.button")}
          aria-describedby={hint}
          onClick={() => input.current?.click()}
          data-testid="attach"
        >
          <Paperclip size={16} aria-hidden="true" />
        </ActionIcon>
      </Tooltip>
      <span id={hint} className="sr-only">
        {text}
      </span>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        accept={files.able.mediaTypes?.join(",")}
        onChange={(e) => {
          files.add([...(e.currentTarget.files ?? [])]);
          e.currentTarget.value = "";
        }}
        data-testid="attach-input"
      />
    </>
  );
}

/** The attached files, in the order in which they will be sent. */
export function AttachmentList({ id, files }: { id: string; files: Attachments }) {
  if (files.attached.length === 0) return null;
  return (
    <ul className={s.attached} aria-label={t("attach.list")} data-testid="attachments">
      {files.attached.map((f, n) => (
        <Item key={f.key} id={id} file={f} problem={files.problems[n]} first={n === 0} />
      ))}
    </ul>
  );
}

function Item({
  id,
  file: f,
  problem,
  first,
}: {
  id: string;
  file: Attached;
  problem: string | undefined;
  first: boolean;
}) {
  const picture = preview(f.done?.id) ?? preview(f.key);
  const name = f.name || t("attach.unnamed");
  const trouble = problem ?? (f.error && t("attach.failed", { message: f.error.message }));
  const remove = () => {
    detach(id, f.key);
    announce(t("attach.removed", { name }));
    document.querySelector<HTMLElement>("#composer")?.focus();
  };
  return (
    <li className={s.attachment} data-trouble={trouble ? true : undefined} data-testid="attachment">
      {picture ? <img src={picture} alt="" /> : <FileIcon size={20} aria-hidden="true" />}
      <div className={s.attachmentText}>
        <p className={s.attachmentName}>
          <bdi>{name}</bdi>
        </p>
        {trouble ? (
          <p className={s.over} role="alert">
            {trouble}
          </p>
        ) : f.done ? (
          <p className={s.fileMeta}>{fileSize(f.size)}</p>
        ) : (
          <progress max={1} value={f.share} aria-label={t("attach.uploading", { name })} />
        )}
      </div>
      {!first && (
        <ActionIcon
          variant="subtle"
          color="gray"
          size={24}
          aria-label={t("attach.earlier", { name })}
          onClick={() => moveUp(id, f.key)}
        >
          <ArrowLeft size={14} aria-hidden="true" />
        </ActionIcon>
      )}
      {f.error && !problem && canTryAgain(f.error) && (
        <ActionIcon
          variant="subtle"
          color="gray"
          size={24}
          aria-label={t("attach.again", { name })}
          onClick={() => tryAgain(id, f.key)}
        >
          <RotateCcw size={14} aria-hidden="true" />
        </ActionIcon>
      )}
      <ActionIcon
        variant="subtle"
        color="gray"
        size={24}
        aria-label={t(f.done || trouble ? "attach.remove" : "attach.cancel", { name })}
        onClick={remove}
        data-testid="detach"
      >
        <X size={14} aria-hidden="true" />
      </ActionIcon>
    </li>
  );
}
