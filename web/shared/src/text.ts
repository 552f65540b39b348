/** A piece of message text. `text` is shown as it is, in a text node; `href` holds only allowed schemes (M5). */
export type Token =
  | { kind: "text"; text: string }
  | { kind: "link"; text: string; href: string }
  | { kind: "bold" | "italic" | "strike" | "code"; text: string };

const link =
  /\bhttps?:\/\/[^\s<>"'`]+|\bmailto:[^\s<>"'`]+|\b[\w.+-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+\b|(?<![\w+])\+[1-9](?:[ .-]?\d){6,14}(?!\d)/g;
const mark = /(?<![\p{L}\p{N}*_~`])([*_~`])(?=\S)([^\n]{1,500}?)(?<=\S)\1(?![\p{L}\p{N}*_~`])/gu;
const kinds = { "*": "bold", _: "italic", "~": "strike", "`": "code" } as const;

/** Cuts text into links (http, https, mail, phone) and, where `marks`, WhatsApp's emphasis. Texts joined give it all. */
export function tokenize(text: string, options: { marks?: boolean } = {}): Token[] {
  const tokens: Token[] = [];
  let from = 0;
  for (const m of text.matchAll(link)) {
    const shown = trimLink(m[0]);
    const href = hrefOf(shown);
    if (!href) continue;
    pushText(tokens, text.slice(from, m.index), options.marks ?? false);
    tokens.push({ kind: "link", text: shown, href });
    from = m.index + shown.length;
  }
  pushText(tokens, text.slice(from), options.marks ?? false);
  return tokens;
}

function pushText(tokens: Token[], text: string, marks: boolean): void {
  let from = 0;
  if (marks) {
    for (const m of text.matchAll(mark)) {
      if (m.index > from) tokens.push({ kind: "text", text: text.slice(from, m.index) });
      tokens.push({ kind: kinds[m[1] as keyof typeof kinds], text: m[2] ?? "" });
      from = m.index + m[0].length;
    }
  }
  if (from < text.length) tokens.push({ kind: "text", text: text.slice(from) });
}

// A full stop or a closing bracket after a link belongs to the sentence, unless the link opened the bracket.
function trimLink(raw: string): string {
  let s = raw;
  for (;;) {
    const last = s.at(-1) ?? "";
    if (/[.,;:!?]/.test(last)) s = s.slice(0, -1);
    else if (last === ")" && count(s, "(") < count(s, ")")) s = s.slice(0, -1);
    else return s;
  }
}

function count(s: string, c: string): number {
  return s.split(c).length - 1;
}

function hrefOf(shown: string): string | undefined {
  if (shown.startsWith("+")) return `tel:${shown.replace(/[ .-]/g, "")}`;
  if (!/^(https?|mailto):/.test(shown)) return `mailto:${shown}`;
  return URL.canParse(shown) ? shown : undefined;
}
