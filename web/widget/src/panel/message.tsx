import { clock, day, dayKey, fullTime, type MediaFile, tokenize, type VisitorMessage } from "@omni/shared";
import type { Chat } from "./chat";
import { FileView, shownApart } from "./file";
import type { Waiting } from "./queue";

/** Same sender within this time: one block, with one name and one time. */
const together = 5 * 60_000;

/** One line of the conversation: what the server has, or what still waits here. */
interface Row {
  key: string;
  mine: boolean;
  name: string;
  text: string;
  /** Files that are here, shown apart from the text. */
  files: MediaFile[];
  /** Of the message; "" while it waits. */
  id: string;
  at: number;
  /** 0: not of this conversation, or not yet taken. */
  seq: number;
  waiting?: Waiting;
}

function rowsOf(chat: Chat, team: string): Row[] {
  const row = (m: VisitorMessage): Row => ({
    // The client id first: the bubble that was waiting stays the same one when the server has taken it.
    key: m.clientId || m.id,
    mine: m.direction === "INBOUND",
    name: m.direction === "INBOUND" ? "You" : m.senderName || team,
    text: textOf(m, true),
    files: m.payload.files?.filter(shownApart) ?? [],
    id: m.id,
    at: m.at,
    seq: m.seq,
  });
  const rows = [...chat.past.value.map((m) => ({ ...row(m), seq: 0 })), ...chat.messages.value.map(row)];
  for (const w of chat.waiting.value)
    rows.push({
      key: w.clientId,
      id: "",
      mine: true,
      name: "You",
      text: w.text,
      files: [],
      at: w.at,
      seq: 0,
      waiting: w,
    });
  return rows;
}

/** A message in words; what we cannot show is named rather than left out. What stands beside the words is left out of them. */
export function textOf(m: VisitorMessage, beside = false): string {
  const { text, files, unsupported } = m.payload;
  const parts = text ? [text] : [];
  for (const f of files ?? []) if (!beside || !shownApart(f)) parts.push(`[${f.name || f.type}]`);
  if (!parts.length && !files?.length) parts.push(`Not supported here: ${unsupported || m.payload.type}`);
  return parts.join("\n");
}

export function Rows({ chat, now }: { chat: Chat; now: number }) {
  const team = chat.config.value?.title || "Team";
  const rows = rowsOf(chat, team);
  const seen = chat.seen.value;
  const lastSent = rows.findLast((r) => r.mine && r.seq > 0);
  const lastSeen = rows.findLast((r) => r.mine && r.seq > 0 && r.seq <= seen.seq);
  return rows.map((row, i) => {
    const before = rows[i - 1];
    const after = rows[i + 1];
    const newDay = !before || dayKey(before.at) !== dayKey(row.at);
    const starts = newDay || !joined(before, row);
    const ends = !after || dayKey(after.at) !== dayKey(row.at) || !joined(row, after);
    let state = "";
    if (row === lastSeen) state = seen.at ? `Seen ${clock(seen.at)}` : "Seen";
    else if (row === lastSent) state = "Sent";
    return (
      <Bubble
        key={row.key}
        row={row}
        chat={chat}
        heading={newDay ? dayName(row.at, now) : ""}
        starts={starts}
        ends={ends}
        state={state}
      />
    );
  });
}

function joined(a: Row | undefined, b: Row): boolean {
  return a !== undefined && a.mine === b.mine && a.name === b.name && b.at - a.at < together;
}

function dayName(at: number, now: number): string {
  return dayKey(at) === dayKey(now) ? "Today" : day(at, now);
}

interface BubbleProps {
  row: Row;
  chat: Chat;
  heading: string;
  starts: boolean;
  ends: boolean;
  state: string;
}

function Bubble({ row, chat, heading, starts, ends, state }: BubbleProps) {
  const { waiting } = row;
  const status = waiting?.failed
    ? ""
    : waiting
      ? chat.link.value === "live"
        ? "Sending"
        : "Waiting for the connection"
      : state;
  const meta = [ends || waiting ? clock(row.at) : "", status].filter(Boolean).join(" · ");
  return (
    <>
      {heading && <h2 class="day">{heading}</h2>}
      <article
        class={`row ${row.mine ? "mine" : "theirs"} ${starts ? "starts" : ""}`}
        data-testid="widget-message"
        data-seq={row.seq || undefined}
        data-direction={row.mine ? "in" : "out"}
        aria-label={`${row.name}, ${fullTime(row.at)}`}
      >
        {starts && !row.mine && <p class="name">{row.name}</p>}
        {row.files.map((f, n) => (
          <FileView
            key={f.id ?? n}
            file={f}
            from={row.name}
            at={row.at}
            renew={() => chat.readFiles(row.seq, row.id)}
          />
        ))}
        {row.text && (
          <div class={`bubble ${waiting ? "waits" : ""}`} dir="auto" data-testid="widget-message-text">
            <Text text={row.text} />
          </div>
        )}
        {meta && (
          <p class="meta" data-testid="widget-message-status" title={fullTime(row.at)}>
            {meta}
          </p>
        )}
        {waiting?.failed && (
          <p class="failed" role="alert" data-testid="widget-message-failed">
            Not sent: {waiting.failed}{" "}
            <button type="button" onClick={() => chat.retry(row.key)} data-testid="widget-retry">
              Try again
            </button>{" "}
            <button type="button" onClick={() => chat.discard(row.key)} data-testid="widget-discard">
              Delete
            </button>
          </p>
        )}
      </article>
    </>
  );
}

/** Text nodes and links, nothing else. */
export function Text({ text }: { text: string }) {
  return (
    <>
      {tokenize(text).map((t, i) =>
        t.kind === "link" ? (
          <a key={i} href={t.href} target="_blank" rel="noopener noreferrer">
            {t.text}
          </a>
        ) : (
          t.text
        ),
      )}
    </>
  );
}
