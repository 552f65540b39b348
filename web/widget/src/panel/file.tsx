import { clock, fileSize, type MediaFile } from "@omni/shared";
import { useEffect, useRef, useState } from "preact/hooks";

/** Whether a file is here, so that it is shown and not only named. */
export const shownApart = (f: MediaFile) => f.state === "ready" && !!f.id;

interface Props {
  file: MediaFile;
  from: string;
  at: number;
  /** Reads the message again for a link that works. */
  renew: () => Promise<void>;
}

/** A picture, a film, a recording, or a link to anything else. Links come by REST alone, and end. */
export function FileView({ file: f, from, at, renew }: Props) {
  const [broken, setBroken] = useState("");
  const anchor = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (!f.url) void renew();
  }, [f.id]);
  const url = f.url && /^(https?:\/\/|\/(?!\/))/.test(f.url) && f.url !== broken ? f.url : undefined;
  // A second link that fails is the last: the file is named then.
  const onError = () => {
    if (!broken) void renew();
    setBroken(f.url ?? "");
  };
  const name = f.name || "File";
  if (url && f.type === "video") {
    return (
      // biome-ignore lint/a11y/useMediaCaption: what an agent sends has none
      <video class="media" src={url} controls preload="metadata" aria-label={name} onError={onError} />
    );
  }
  if (url && f.type === "audio") {
    return (
      // biome-ignore lint/a11y/useMediaCaption: what an agent sends has none
      <audio class="media" src={url} controls preload="none" aria-label={name} onError={onError} />
    );
  }
  const alt = `Image from ${from}, ${clock(at)}`;
  const picture = url && f.type === "image";
  // On a link that has ended: a new one first. The second click is ours and finds it.
  const onClick = (e: MouseEvent) => {
    if ((f.urlUntil ?? 0) > Date.now() + 5000 || !e.isTrusted) return;
    e.preventDefault();
    void renew().then(() => anchor.current?.click());
  };
  return (
    <a
      ref={anchor}
      class={picture ? "media" : "bubble file"}
      href={url}
      target="_blank"
      rel="noopener noreferrer"
      onClick={onClick}
      data-testid="widget-file"
    >
      {picture ? (
        <img src={url} alt={alt} loading="lazy" onError={onError} />
      ) : (
        <>
          <bdi>{name}</bdi>
          {f.size ? ` · ${fileSize(f.size)}` : ""}
        </>
      )}
    </a>
  );
}
