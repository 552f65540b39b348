import { ActionIcon, Button, TextInput } from "@mantine/core";
import { fileSize, type MediaType } from "@omni/shared";
import { File as FileIcon, Paperclip, X } from "lucide-react";
import { type ReactNode, useEffect, useRef, useState } from "react";
import type { Capabilities } from "../api/records";
import { upload } from "../api/upload";
import { t } from "../i18n";
import { keepPreview, preview, type UploadedFile } from "../live/files";
import { announce } from "../live/store";
import { fits } from "./fits";
import s from "./inbox.module.css";
import { type FileKind, fitsKind } from "./templates";

/** A file that is to be a template's header. */
export interface HeaderUpload {
  name: string;
  size: number;
  /** As the browser says until it is uploaded; "" if it does not know. */
  contentType: string;
  /** How much is uploaded, from 0 to 1. */
  share: number;
  done?: UploadedFile;
  /** Why it does not go. */
  trouble?: string;
}

/** Why a file is no header of a kind on a channel; undefined: it is one. */
function troubleOf(kind: FileKind, f: HeaderUpload, able: Capabilities | undefined): string | undefined {
  if (!fitsKind(kind, f.contentType)) return t(`templates.needs.${kind}`);
  return fits([f], able)[0];
}

/** Uploads the file that is a template's header, as soon as it fits. */
export function useHeaderFile(kind: FileKind | undefined, able: Capabilities | undefined) {
  const [file, setFile] = useState<HeaderUpload>();
  const running = useRef<AbortController>(undefined);
  useEffect(() => () => running.current?.abort(), []);
  const choose = async (chosen: File | undefined) => {
    if (!chosen || !kind) return;
    running.current?.abort();
    const fresh: HeaderUpload = { name: chosen.name, size: chosen.size, contentType: chosen.type, share: 0 };
    const trouble = troubleOf(kind, fresh, able);
    if (trouble) {
      setFile({ ...fresh, trouble });
      return;
    }
    setFile(fresh);
    announce(t("attach.added", { count: 1 }));
    const giveUp = new AbortController();
    running.current = giveUp;
    try {
      const { name = chosen.name, ...u } = await upload(
        chosen,
        (share) => !giveUp.signal.aborted && setFile({ ...fresh, share }),
        giveUp.signal,
      );
      if (giveUp.signal.aborted) return;
      const done: HeaderUpload = { ...fresh, name, size: u.size, contentType: u.contentType, share: 1 };
      const wrong = troubleOf(kind, done, able);
      if (!wrong) keepPreview(u.id, chosen);
      setFile(wrong ? { ...done, trouble: wrong } : { ...done, done: { ...u, name, type: u.type as MediaType } });
    } catch (e) {
      if (giveUp.signal.aborted) return;
      const message = e instanceof Error ? e.message : `${e}`;
      setFile({ ...fresh, trouble: t("attach.failed", { message }) });
    }
  };
  const remove = () => {
    running.current?.abort();
    setFile(undefined);
  };
  return { file, choose, remove };
}

interface Props {
  kind: FileKind;
  able: Capabilities | undefined;
  file: HeaderUpload | undefined;
  onChoose: (file: File | undefined) => void;
  onRemove: () => void;
  /** Named by the form, for the focus after a mistake. */
  name: string;
  value: string;
  onChange: (value: string) => void;
  error: ReactNode;
  autoFocus: boolean;
}

/** What a browser offers to choose from: what the channel carries of a kind. */
const accepts = (kind: FileKind, able: Capabilities | undefined) =>
  (able?.mediaTypes ?? []).filter((x) => fitsKind(kind, x)).join(",");

/** Takes the address of a file, or a file of this computer in its place. */
export function HeaderFile(p: Props) {
  const input = useRef<HTMLInputElement>(null);
  const box = useRef<HTMLDivElement>(null);
  const { file: f } = p;
  const remove = () => {
    p.onRemove();
    if (f) announce(t("attach.removed", { name: f.name || t("attach.unnamed") }));
    requestAnimationFrame(() => box.current?.querySelector<HTMLElement>("input:not([type=file])")?.focus());
  };
  return (
    <div ref={box} className={s.headerFile} data-testid="template-file">
      {f ? (
        <Chosen file={f} kind={p.kind} name={p.name} onRemove={remove} />
      ) : (
        <>
          <TextInput
            name={p.name}
            label={t(`templates.part.${p.kind}`)}
            required
            type="url"
            value={p.value}
            onChange={(e) => p.onChange(e.currentTarget.value)}
            error={p.error}
            autoComplete="off"
            dir="auto"
            data-autofocus={p.autoFocus || undefined}
            data-testid="template-field"
          />
          <Button
            variant="default"
            size="sm"
            onClick={() => input.current?.click()}
            leftSection={<Paperclip size={14} aria-hidden="true" />}
            data-testid="template-attach"
          >
            {t("templates.attach")}
          </Button>
        </>
      )}
      <input
        ref={input}
        type="file"
        hidden
        accept={accepts(p.kind, p.able)}
        onChange={(e) => {
          p.onChoose(e.currentTarget.files?.[0]);
          e.currentTarget.value = "";
        }}
        data-testid="template-attach-input"
      />
    </div>
  );
}

function Chosen(p: { file: HeaderUpload; kind: FileKind; name: string; onRemove: () => void }) {
  const { file: f } = p;
  const name = f.name || t("attach.unnamed");
  const picture = preview(f.done?.id);
  return (
    <div className={s.attachment} data-trouble={f.trouble ? true : undefined} data-testid="template-attached">
      {picture ? <img src={picture} alt="" /> : <FileIcon size={20} aria-hidden="true" />}
      <div className={s.attachmentText}>
        <p className={s.attachmentName}>
          <span className="sr-only">{t(`kind.${p.kind}`)}: </span>
          <bdi>{name}</bdi>
        </p>
        {f.trouble ? (
          <p className={s.over} role="alert">
            {f.trouble}
          </p>
        ) : f.done ? (
          <p className={s.fileMeta}>{fileSize(f.size)}</p>
        ) : (
          <progress max={1} value={f.share} aria-label={t("attach.uploading", { name })} />
        )}
      </div>
      <ActionIcon
        name={p.name}
        variant="subtle"
        color="gray"
        size={24}
        aria-label={t(f.done || f.trouble ? "attach.remove" : "attach.cancel", { name })}
        onClick={p.onRemove}
        data-testid="template-detach"
      >
        <X size={14} aria-hidden="true" />
      </ActionIcon>
    </div>
  );
}
