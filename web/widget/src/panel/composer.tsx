import { TypingReporter } from "@omni/shared";
import { useEffect, useLayoutEffect, useMemo } from "preact/hooks";
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
        onKeyDown={(e) => {
          // While an input method composes, Enter belongs to it; 229 is how some browsers say so.
          if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
          e.preventDefault();
          send();
        }}
      />
      <button class="send" type="submit" aria-label="Send" aria-disabled={!text.trim()} data-testid="widget-send">
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M12 19V5m-6 6 6-6 6 6" />
        </svg>
      </button>
    </form>
  );
}
