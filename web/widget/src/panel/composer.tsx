import { fileSize, TypingReporter } from "@omni/shared";
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import type { Chat } from "./chat";

interface Props {
  chat: Chat;
  /** What is being written; it outlives this page. */
  draft: { value: string };
  field: { current: HTMLTextAreaElement | null };
}

export function Composer({ chat, draft, field }: Props) {
  const typing = useMemo(() => new TypingReporter((stop) => chat.sendTyping(stop)), [chat]);
  useEffect(() => () => typing.stop(), [typing]);
  const text = draft.value;

  // Grows with its text up to what panel.css allows.
  useLayoutEffect(() => {
    const f = field.current;
    if (!f) return;
    f.style.height = "auto";
    f.style.height = `${f.scrollHeight}px`;
  }, [text, field]);

  const able = chat.config.value?.files;
  const picker = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (!able) return;
    const over = (e: DragEvent) => e.dataTransfer?.types.includes("Files") && e.preventDefault();
    const drop = (e: DragEvent) => {
      if (!e.dataTransfer?.files.length) return;
      e.preventDefault();
      chat.sendFiles([...e.dataTransfer.files]);
    };
    document.addEventListener("dragover", over);
    document.addEventListener("drop", drop);
    return () => {
      document.removeEventListener("dragover", over);
      document.removeEventListener("drop", drop);
    };
  }, [able, chat]);

  const send = () => {
    if (!text.trim()) return;
    typing.stop();
    draft.value = "";
    chat.send(text);
    field.current?.focus();
  };

  return (
    <form
      class="composer"
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <label class="hidden" for="text">
        Your message
      </label>
      <textarea
        id="text"
        ref={field}
        rows={1}
        dir="auto"
        placeholder="Write a message"
        enterkeyhint="send"
        value={text}
        data-testid="widget-input"
        onInput={(e) => {
          draft.value = e.currentTarget.value;
          if (draft.value) typing.typed();
          else typing.stop();
        }}
        onBlur={() => typing.stop()}
        onPaste={(e) => {
          const files = [...(e.clipboardData?.files ?? [])];
          if (!able || !files.length || e.clipboardData?.types.includes("text/plain")) return;
          e.preventDefault();
          chat.sendFiles(files);
        }}
        onKeyDown={(e) => {
          // While an input method composes, Enter belongs to it; 229 is how some browsers say so.
          if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
          e.preventDefault();
          send();
        }}
      />
      {able && (
        <>
          <input
            ref={picker}
            type="file"
            multiple
            hidden
            accept={able.types.join()}
            onChange={(e) => {
              chat.sendFiles([...(e.currentTarget.files ?? [])]);
              e.currentTarget.value = "";
            }}
            data-testid="widget-attach-input"
          />
          <button
            class="attach"
            type="button"
            aria-label={`Send files of at most ${fileSize(able.maxBytes)}`}
            onClick={() => picker.current?.click()}
            data-testid="widget-attach"
          >
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="m20 11-8.6 8.6a5 5 0 0 1-7-7L13 4a3.3 3.3 0 0 1 4.7 4.7l-8.6 8.5a1.7 1.7 0 0 1-2.3-2.3L14.5 7" />
            </svg>
          </button>
        </>
      )}
      <button class="send" type="submit" aria-label="Send" aria-disabled={!text.trim()} data-testid="widget-send">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M12 19V5m-6 6 6-6 6 6" />
        </svg>
      </button>
    </form>
  );
}
