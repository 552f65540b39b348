import { clock } from "@omni/shared";
import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import type { announcer } from "./announce";
import type { Chat } from "./chat";
import { Composer } from "./composer";
import { UploadView } from "./file";
import { Rows } from "./message";

export interface PanelProps {
  chat: Chat;
  /** The panel is on the screen, as the page around it says. */
  shown: Signal<boolean>;
  full: Signal<boolean>;
  draft: Signal<string>;
  announcer: ReturnType<typeof announcer>;
  /** Missing where the panel is a page of its own. */
  close?: (() => void) | undefined;
}

/** So near the end the view stays at the end when a message comes. */
const nearEnd = 80;

export function Panel(p: PanelProps) {
  const { chat, close } = p;
  const config = chat.config.value;
  const field = useRef<HTMLTextAreaElement>(null);
  const shown = p.shown.value;

  useEffect(() => {
    if (shown && chat.phase.value !== "error") field.current?.focus();
  }, [shown, chat.phase.value, chat]);

  return (
    <>
      <header>
        <div class="who">
          <h1 data-testid="widget-title">{config?.title || "Chat"}</h1>
          {config && (
            <p data-testid="widget-availability">
              {config.online ? "We are online" : "We are away. Write to us, we will answer here."}
            </p>
          )}
        </div>
        {close && (
          <button type="button" class="close" aria-label="Close chat" onClick={close} data-testid="widget-close">
            <svg viewBox="0 0 24 24" aria-hidden="true">
              <path d="M6 6l12 12M18 6 6 18" />
            </svg>
          </button>
        )}
      </header>
      {chat.phase.value === "error" ? (
        <main class="center" data-testid="widget-error">
          <p role="alert">The chat cannot be reached right now.</p>
          <button type="button" class="button" onClick={() => void chat.start()} data-testid="widget-error-retry">
            Try again
          </button>
        </main>
      ) : (
        // There from the first moment: nobody has to wait for the server to begin writing.
        <main class="chat">
          <Timeline {...p} />
          <Connection chat={chat} />
          <Composer chat={chat} draft={p.draft} field={field} />
        </main>
      )}
      <div class="hidden" aria-live="polite" data-testid="widget-announcer">
        {p.announcer.said.value}
      </div>
    </>
  );
}

function Timeline({ chat, shown }: PanelProps) {
  const box = useRef<HTMLElement>(null);
  const atEnd = useSignal(true);
  const below = useSignal(0);
  // Where the view stood before the last change, so that a page loaded above moves nothing.
  const held = useRef({ first: 0, last: 0, waiting: 0, height: 0, top: 0 });
  const messages = chat.messages.value;
  const waiting = chat.waiting.value.length;
  const typing = chat.typing.value;
  const onScreen = shown.value;

  useLayoutEffect(() => {
    const el = box.current;
    if (!el) return;
    const h = held.current;
    const first = messages[0]?.seq ?? 0;
    const last = messages.at(-1)?.seq ?? 0;
    if (atEnd.value || waiting > h.waiting) el.scrollTop = el.scrollHeight;
    else if (first < h.first) el.scrollTop = h.top + el.scrollHeight - h.height;
    else if (last > h.last) below.value += messages.filter((m) => m.seq > h.last && m.direction === "OUTBOUND").length;
    held.current = { first, last, waiting, height: el.scrollHeight, top: el.scrollTop };
  }, [messages, waiting, typing, onScreen, atEnd, below]);

  // A smaller window (a software keyboard) hides the top, not the end.
  useEffect(() => {
    const el = box.current;
    if (!el) return;
    const watch = new ResizeObserver(() => {
      if (atEnd.value) el.scrollTop = el.scrollHeight;
    });
    watch.observe(el);
    return () => watch.disconnect();
  }, [atEnd]);

  // Read is what was on a visible screen, at the end of the conversation.
  useEffect(() => {
    const read = () => {
      if (onScreen && atEnd.value && document.visibilityState === "visible") chat.markRead();
    };
    read();
    document.addEventListener("visibilitychange", read);
    return () => document.removeEventListener("visibilitychange", read);
  }, [chat, messages, onScreen, atEnd.value, chat.link.value]);

  const toEnd = () => {
    const el = box.current;
    if (el) el.scrollTop = el.scrollHeight;
  };

  return (
    <div class="thread">
      <section
        ref={box}
        class="scroll"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keys
        tabIndex={0}
        aria-label="Conversation"
        data-testid="widget-timeline"
        onScroll={(e) => {
          const el = e.currentTarget;
          // A panel that is put away scrolls to nowhere.
          if (!el.clientHeight) return;
          held.current.top = el.scrollTop;
          atEnd.value = el.scrollHeight - el.scrollTop - el.clientHeight < nearEnd;
          if (atEnd.value) below.value = 0;
          if (el.scrollTop < nearEnd) void chat.loadOlder();
        }}
      >
        {chat.hasOlder.value ? (
          <button type="button" class="older" onClick={() => void chat.loadOlder()} data-testid="widget-older">
            Earlier messages
          </button>
        ) : (
          chat.config.value?.greeting && (
            <p class="greeting" dir="auto" data-testid="widget-greeting">
              {chat.config.value.greeting}
            </p>
          )
        )}
        <Rows chat={chat} now={Date.now()} />
        {chat.uploading.value.map((u) => (
          <UploadView key={u.key} chat={chat} upload={u} />
        ))}
        {chat.resolved.value && waiting === 0 && (
          <p class="day" data-testid="widget-resolved">
            This conversation was closed. Write to open it again.
          </p>
        )}
        {typing && (
          <p class="typing" data-testid="widget-typing">
            <span class="dots" aria-hidden="true">
              <i />
              <i />
              <i />
            </span>
            {typing} is typing
          </p>
        )}
      </section>
      {below.value > 0 && (
        <button type="button" class="below" onClick={toEnd} data-testid="widget-below">
          {below.value} new ↓
        </button>
      )}
    </div>
  );
}

/** Says nothing as long as all is well or has been away for a moment only. */
function Connection({ chat }: { chat: Chat }) {
  const late = useSignal(false);
  const since = chat.offlineSince.value;
  useEffect(() => {
    late.value = false;
    if (!since) return;
    const t = setTimeout(() => {
      late.value = true;
    }, 2000);
    return () => clearTimeout(t);
  }, [since, late]);
  if (!since || !late.value) return null;
  const stopped = chat.link.value === "stopped";
  return (
    <p class="offline" role="status" data-testid="widget-offline">
      <span>
        {stopped
          ? "The chat is not available now."
          : `No connection since ${clock(since)}. Messages are sent when it is back.`}
      </span>
      <button type="button" onClick={() => chat.retryConnection()} data-testid="widget-reconnect">
        Try now
      </button>
    </p>
  );
}
