import { fileSize, type MediaFile, type Message } from "@omni/shared";
import { skipToken, useQuery } from "@tanstack/react-query";
import { File as FileIcon, Film, Image as ImageIcon, Music } from "lucide-react";
import { useState } from "react";
import { t } from "../i18n";
import { preview } from "../live/files";
import { useLiveClient } from "../live/hooks";
import { keys } from "../live/keys";
import s from "./inbox.module.css";

const icons = { image: ImageIcon, video: Film, audio: Music, document: FileIcon };

interface Props {
  /** Undefined while the server has not taken it. */
  message: Message | undefined;
  file: MediaFile;
  sender: string;
  time: string;
}

/** A file: a picture or film in a box of fixed size, so that nothing jumps when it comes; sound to be played; anything else as a card (TH6). */
export function FileCard({ message, file, sender, time }: Props) {
  const { link, renew } = useLink(message, file);
  const [broken, setBroken] = useState("");
  const kind = t(`kind.${file.type}`);
  const local = file.type === "image" ? preview(file.id) : undefined;
  const shown = local ?? (link !== broken && link);
  const onError = () => {
    setBroken(link ?? "");
    if (!broken) renew();
  };
  if (shown && file.type === "image") {
    return (
      <a href={shown} target="_blank" rel="noopener noreferrer" className={s.picture} data-testid="file-picture">
        <img src={shown} alt={t("bubble.imageAlt", { sender, time })} loading="lazy" onError={onError} />
      </a>
    );
  }
  if (shown && file.type === "video") {
    return (
      // biome-ignore lint/a11y/useMediaCaption: a contact's film has none
      <video
        className={s.film}
        src={shown}
        controls
        preload="metadata"
        aria-label={file.name || kind}
        onError={onError}
      />
    );
  }
  const state =
    file.state === "pending"
      ? t("bubble.filePending")
      : file.state === "failed"
        ? file.failure || t("bubble.fileFailed")
        : t("bubble.fileReady");
  const Icon = icons[file.type] ?? FileIcon;
  return (
    <div className={s.file} data-state={file.state} data-testid="file-card">
      <Icon size={20} aria-hidden="true" />
      <div>
        <p className={s.fileName}>
          <bdi>{file.name || kind}</bdi>
        </p>
        <p className={s.fileMeta}>
          {[file.contentType, file.size ? fileSize(file.size) : "", state].filter(Boolean).join(" · ")}
        </p>
        {shown && file.type === "audio" && (
          // biome-ignore lint/a11y/useMediaCaption: a contact's recording has none
          <audio src={shown} controls preload="none" aria-label={file.name || kind} onError={onError} />
        )}
      </div>
      {link && file.type !== "audio" && (
        <a href={link} target="_blank" rel="noopener noreferrer" onPointerEnter={renew} onFocus={renew}>
          {t("bubble.open")}
        </a>
      )}
    </div>
  );
}

/** A link to a file that is here, and how to have a new one: events carry none, and each ends after a while. */
function useLink(message: Message | undefined, file: MediaFile): { link: string | undefined; renew: () => void } {
  const live = useLiveClient();
  const { refetch } = useQuery({
    queryKey: keys.files(message?.id ?? ""),
    queryFn: message ? () => live.readFiles(message) : skipToken,
    enabled: file.state === "ready" && !file.url && !(file.type === "image" && preview(file.id)),
    retry: 2,
  });
  const safe = file.url && /^(https?:\/\/|\/(?!\/))/.test(file.url) ? file.url : undefined;
  return {
    link: file.state === "ready" ? safe : undefined,
    renew: () => {
      if (live.socket.now() + 60_000 > (file.urlUntil ?? 0)) void refetch();
    },
  };
}
