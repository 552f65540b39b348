import { effect, signal } from "@preact/signals";
import { render } from "preact";
import { isTheme } from "../bridge";
import { announcer } from "./announce";
import { API } from "./api";
import { Chat } from "./chat";
import { joinHost } from "./host";
import { socketLink } from "./link";
import { textOf } from "./message";
import { Panel } from "./panel";
import { frameKeep } from "./storage";
import { themed } from "./theme";

const widget = new URLSearchParams(location.search).get("widget") ?? "";
const fragment = new URLSearchParams(location.hash.slice(1));
const wanted = fragment.get("theme");

const keep = frameKeep();
const shown = signal(false);
const full = signal(false);
const chat = new Chat({
  widget,
  keep,
  api: new API(widget),
  link: socketLink,
  tell: (name) => host.tell({ type: "event", name }),
});

const draftKey = `omni.draft.${widget}`;
const draft = signal(keep.get(draftKey) ?? "");

const theme = themed(() => chat.config.value?.accent, isTheme(wanted) ? wanted : "auto");
const host = joinHost(fragment.get("host") ?? "", (m) => {
  if (m.type === "show") {
    full.value = m.full;
    shown.value = true;
    if (chat.phase.value === "error") void chat.start();
  } else if (m.type === "hide") shown.value = false;
  else if (m.type === "theme" && isTheme(m.theme)) theme.value = m.theme;
  else if (m.type === "prefill" && !draft.value) draft.value = String(m.text);
});
if (!host.framed) shown.value = true;

const voice = announcer();
chat.onArrival = (m) => voice.message(m.senderName || chat.config.value?.title || "Team", textOf(m));

effect(() => {
  if (chat.typing.value) voice.typing(chat.typing.value);
});
effect(() => {
  if (draft.value) keep.set(draftKey, draft.value);
  else keep.remove(draftKey);
});
// No socket before the visitor opened the panel, unless there is a conversation.
effect(() => {
  if (chat.phase.value === "chat" && (shown.value || chat.known)) chat.connect();
});
effect(() => host.tell({ type: "unread", count: chat.unread.value }));
effect(() => {
  if (chat.hasConversation.value) host.tell({ type: "keep", keep: true });
});
effect(() => {
  document.title = chat.config.value?.title || "Chat";
});

const close = host.framed ? () => host.tell({ type: "close" }) : undefined;
addEventListener("keydown", (e) => {
  if (e.key === "Escape" && !e.isComposing) close?.();
});
// Another tab of this site wrote or sent something.
addEventListener("storage", (e) => {
  if (e.key?.startsWith("omni.queue.")) chat.refreshQueue();
});

const root = document.getElementById("panel");
if (root) render(<Panel {...{ chat, shown, full, draft, close }} announcer={voice} />, root);
host.tell({ type: "ready" });
void chat.start();
