import { signal } from "@preact/signals";

/** Messages that come within this time are announced together. */
const gather = 400;
const typingEvery = 5000;
const longest = 200;

/** What a screen reader is told: new messages, each once, and typing now and then. Shown in one polite live region. */
export function announcer() {
  const said = signal("");
  let pending: { name: string; text: string }[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let lastTyping = Number.NEGATIVE_INFINITY;
  const speak = () => {
    said.value =
      pending.length > 3
        ? `${pending.length} new messages`
        : pending.map(({ name, text }) => `${name}: ${text.slice(0, longest)}`).join("\n");
    pending = [];
    timer = undefined;
  };
  return {
    said,
    message(name: string, text: string) {
      pending.push({ name, text });
      timer ??= setTimeout(speak, gather);
    },
    typing(name: string, now = Date.now()) {
      if (timer || now - lastTyping < typingEvery) return;
      lastTyping = now;
      said.value = `${name} is typing`;
    },
  };
}
