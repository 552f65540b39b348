import "./simulator.css";
import { computed, effect, type Signal, signal } from "@preact/signals";
import { render } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import {
  type Behaviour,
  type Channel,
  type Outbound,
  outbox,
  type Reachable,
  reachable,
  sendInbound,
  setBehaviour,
  testCarrier,
} from "./api";
import { carriers, channels, loadSent, number, type Sent, saveSent, thread } from "./model";

const people = signal([
  { name: "Maria Lopez", number: "+15551230001" },
  { name: "Jonas Weber", number: "+4915112345678" },
  { name: "Aiko Tanaka", number: "+819012345678" },
]);
const wanted = new URLSearchParams(location.search);
const from = signal(number(wanted.get("from") ?? "").number ?? people.value[0]?.number ?? "");
const there = signal<Reachable[]>([]);
const carrier = signal(testCarrier);
const channel = signal<Channel>(channels([], testCarrier).find((c) => c === wanted.get("channel")) ?? "SMS");
const sent = signal<Sent[]>(loadSent());
const got = signal<Outbound[]>([]);
const lost = signal("");
const text = signal("");
const media = signal("");
const fragments = signal(1);
const duplicates = signal(0);
const delay = signal(0);
const rows = computed(() => thread(sent.value, got.value, carrier.value, from.value, channel.value));

if (!people.value.some((p) => p.number === from.value)) addPerson(from.value);
effect(() => saveSent(sent.value));

function addPerson(n: string) {
  people.value = [...people.value, { name: `Customer ${people.value.length + 1}`, number: n }];
}

// Without an answer there is the Test carrier alone.
void reachable().then(
  (all) => {
    there.value = all;
    if (carriers(all).includes(wanted.get("carrier") ?? "")) choose(wanted.get("carrier") ?? testCarrier);
  },
  () => {},
);

function choose(name: string) {
  const has = channels(there.value, name);
  carrier.value = name;
  if (!has.includes(channel.value)) channel.value = has[0] ?? "SMS";
}

// ---- the phone's side of the carrier

let round = 0;
async function poll() {
  const mine = ++round;
  try {
    const items = await outbox(carrier.value, from.value);
    if (mine !== round) return;
    got.value = items;
    lost.value = "";
  } catch (e) {
    if (mine === round) lost.value = e instanceof Error ? e.message : String(e);
  }
}
effect(() => {
  got.value = [];
  if (from.value && carrier.value) void poll();
});
setInterval(() => document.visibilityState === "visible" && void poll(), 1000);

async function send() {
  if (!text.value.trim() && !media.value.trim()) return;
  const s: Sent = {
    id: newId(),
    at: Date.now(),
    state: "sending",
    carrier: carrier.value,
    channelType: channel.value,
    from: from.value,
    text: text.value,
  };
  const name = people.value.find((p) => p.number === from.value)?.name;
  if (name) s.name = name;
  const own = carrier.value === testCarrier;
  if (own && media.value.trim() && channel.value !== "SMS") s.mediaUrl = media.value.trim();
  if (own && fragments.value > 1 && channel.value === "SMS") s.fragments = fragments.value;
  if (duplicates.value > 0) s.duplicates = duplicates.value;
  if (delay.value > 0) s.delayMs = delay.value;
  sent.value = [...sent.value, s];
  text.value = media.value = "";
  const change = (c: Partial<Sent>) => {
    sent.value = sent.value.map((x) => (x.id === s.id ? { ...x, ...c } : x));
  };
  try {
    const { id: _, at: __, state: ___, ...inbound } = s;
    await sendInbound(inbound);
    change({ state: "accepted" });
  } catch (e) {
    change({ state: "refused", why: e instanceof Error ? e.message : String(e) });
  }
}

function newId(): string {
  return [...crypto.getRandomValues(new Uint8Array(8))].map((b) => b.toString(16).padStart(2, "0")).join("");
}

// ---- the page

function App() {
  return (
    <>
      <header>
        <h1>Customer simulator</h1>
        <p>
          You are the customer. What you write comes in through a carrier that is played here, like from a real one.
        </p>
        <nav aria-label="Demo">
          <a href="/">Agent console</a>
          <a href="/demo">Demo website</a>
        </nav>
      </header>
      <main>
        <Who />
        <Phone />
        <div class="side">
          <Arrival />
          <Carrier />
        </div>
      </main>
    </>
  );
}

const adding = signal({ value: "", why: "" });

function Who() {
  return (
    <section class="card" aria-labelledby="who">
      <h2 id="who">Who you are</h2>
      <ul class="people">
        {people.value.map((p) => (
          <li key={p.number}>
            <label>
              <input
                type="radio"
                name="from"
                checked={from.value === p.number}
                onChange={() => {
                  from.value = p.number;
                }}
                data-testid="sim-person"
                data-number={p.number}
              />
              <span class="avatar" aria-hidden="true">
                {p.name.slice(0, 1)}
              </span>
              <span>
                {p.name}
                <small>{p.number}</small>
              </span>
            </label>
          </li>
        ))}
      </ul>
      <form
        onSubmit={(e) => {
          e.preventDefault();
          const { number: n, why = "" } = number(adding.value.value);
          adding.value = { value: n ? "" : adding.value.value, why };
          if (!n) return;
          if (!people.value.some((p) => p.number === n)) addPerson(n);
          from.value = n;
        }}
      >
        <label for="new">Another number</label>
        <div class="inline">
          <input
            id="new"
            type="tel"
            placeholder="+15551234567"
            value={adding.value.value}
            aria-invalid={adding.value.why !== ""}
            aria-describedby="new-why"
            onInput={(e) => {
              adding.value = { value: e.currentTarget.value, why: "" };
            }}
            data-testid="sim-new-number"
          />
          <button type="submit" data-testid="sim-add-number">
            Add
          </button>
        </div>
        <p id="new-why" class="why" role="alert">
          {adding.value.why}
        </p>
      </form>
    </section>
  );
}

function Phone() {
  const end = useRef<HTMLDivElement>(null);
  const list = rows.value;
  const last = list.at(-1)?.key;
  useLayoutEffect(() => {
    if (end.current) end.current.scrollTop = end.current.scrollHeight;
  }, [last, from.value, channel.value]);
  const business = channel.value === "WhatsApp" ? "Demo on WhatsApp" : "Demo";
  const names = carriers(there.value);
  return (
    <section class={`phone ${channel.value === "WhatsApp" ? "whatsapp" : ""}`} aria-label="The customer's phone">
      {names.length > 1 && (
        <p class="field through">
          <label for="sim-carrier">Through</label>
          <select
            id="sim-carrier"
            value={carrier.value}
            onChange={(e) => choose(e.currentTarget.value)}
            data-testid="sim-carrier"
          >
            {names.map((n) => (
              <option key={n} value={n}>
                {n === testCarrier ? "Test carrier" : n}
              </option>
            ))}
          </select>
        </p>
      )}
      <div class="tabs" role="radiogroup" aria-label="Channel">
        {channels(there.value, carrier.value).map((c) => (
          <label key={c}>
            <input
              type="radio"
              name="channel"
              checked={channel.value === c}
              onChange={() => {
                channel.value = c;
              }}
              data-testid={`sim-channel-${c}`}
            />
            <span>{c}</span>
          </label>
        ))}
      </div>
      <div class="bar">
        <span class="avatar" aria-hidden="true">
          D
        </span>
        <div>
          <strong>{business}</strong>
          <small data-testid="sim-from">you are {from.value}</small>
        </div>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reachable by keys */}
      <section class="thread" ref={end} tabIndex={0} aria-label="Messages" data-testid="sim-thread">
        {list.length === 0 && <p class="empty">No messages yet. Write one, then answer it in the agent console.</p>}
        {list.map((r) => (
          <article
            key={r.key}
            class={`${r.mine ? "mine" : "theirs"} ${r.failed ? "bad" : ""}`}
            aria-label={r.mine ? "You" : business}
            data-testid="sim-message"
            data-direction={r.mine ? "in" : "out"}
          >
            {r.media.map((url) => (
              <p key={url} class="file">
                <a href={/^https?:/.test(url) ? url : undefined} target="_blank" rel="noopener noreferrer">
                  {url}
                </a>
              </p>
            ))}
            {r.text && (
              <p class="bubble" dir="auto" data-testid="sim-message-text">
                {r.text}
              </p>
            )}
            <p class="state" data-testid="sim-message-status">
              {new Date(r.at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })} · {r.state}
            </p>
          </article>
        ))}
      </section>
      {lost.value && (
        <p class="lost" role="status" data-testid="sim-lost">
          The phone has no connection: {lost.value}
        </p>
      )}
      <form
        class="write"
        onSubmit={(e) => {
          e.preventDefault();
          void send();
        }}
      >
        {channel.value !== "SMS" && carrier.value === testCarrier && (
          <label class="media">
            <span>Link of a picture or file (https)</span>
            <input
              type="url"
              value={media.value}
              onInput={(e) => {
                media.value = e.currentTarget.value;
              }}
              data-testid="sim-media"
            />
          </label>
        )}
        <label class="hidden" for="text">
          Message
        </label>
        <textarea
          id="text"
          rows={2}
          dir="auto"
          placeholder={`${channel.value} message`}
          value={text.value}
          onInput={(e) => {
            text.value = e.currentTarget.value;
          }}
          onKeyDown={(e) => {
            if (e.key !== "Enter" || e.shiftKey || e.isComposing || e.keyCode === 229) return;
            e.preventDefault();
            void send();
          }}
          data-testid="sim-input"
        />
        <button type="submit" aria-label="Send" data-testid="sim-send">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 19V5m-6 6 6-6 6 6" />
          </svg>
        </button>
      </form>
    </section>
  );
}

interface NumberProps {
  label: string;
  value: Signal<number>;
  min: number;
  max: number;
  step?: number;
  id: string;
  disabled?: boolean;
}

function NumberField({ label, value, min, max, step = 1, id, disabled }: NumberProps) {
  return (
    <p class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        type="number"
        {...{ min, max, step, disabled }}
        value={value.value}
        onInput={(e) => {
          const n = e.currentTarget.valueAsNumber;
          if (n >= min && n <= max) value.value = n;
        }}
        data-testid={id}
      />
    </p>
  );
}

function Arrival() {
  return (
    <section class="card" aria-labelledby="arrival">
      <h2 id="arrival">How your message arrives</h2>
      <NumberField id="sim-delay" label="Late by (ms)" value={delay} min={0} max={60000} step={500} />
      <NumberField id="sim-duplicates" label="Delivered again (times)" value={duplicates} min={0} max={20} />
      <NumberField
        id="sim-fragments"
        label="Cut into parts (SMS)"
        value={fragments}
        min={1}
        max={10}
        disabled={channel.value !== "SMS" || carrier.value !== testCarrier}
      />
    </section>
  );
}

const b = {
  delay: signal(0),
  failCode: signal(""),
  failRate: signal(0),
  statuses: signal(["sent", "delivered", "read"]),
  shuffle: signal(false),
  duplicates: signal(0),
};
const saved = signal("");
// Codes with a meaning of their own; any other, such as 30003 of a real carrier, is a refusal for good.
const reasons = [
  "throttled",
  "unreachable",
  "rejected",
  "misconfigured",
  "opted_out",
  "window_closed",
  "malformed",
  "unknown",
];

async function saveBehaviour() {
  saved.value = "";
  const order = ["sent", "delivered", "read"];
  const behaviour: Behaviour = {
    carrier: carrier.value,
    delayMs: b.delay.value,
    failCode: b.failCode.value.trim(),
    failRate: b.failRate.value / 100,
    statuses: order.filter((s) => b.statuses.value.includes(s)),
    shuffle: b.shuffle.value,
    duplicates: b.duplicates.value,
  };
  try {
    await setBehaviour(behaviour);
    saved.value = "The carrier does so from now on.";
  } catch (e) {
    saved.value = `Not changed: ${e instanceof Error ? e.message : e}`;
  }
}

function Carrier() {
  return (
    <form
      class="card"
      aria-labelledby="carrier"
      onSubmit={(e) => {
        e.preventDefault();
        void saveBehaviour();
      }}
    >
      <h2 id="carrier">What the carrier does with answers</h2>
      <NumberField
        id="sim-status-delay"
        label="Takes for each step (ms)"
        value={b.delay}
        min={0}
        max={60000}
        step={100}
      />
      <fieldset>
        <legend>Reports</legend>
        {["sent", "delivered", "read"].map((s) => (
          <label key={s} class="check">
            <input
              type="checkbox"
              checked={b.statuses.value.includes(s)}
              onChange={(e) => {
                b.statuses.value = e.currentTarget.checked
                  ? [...b.statuses.value, s]
                  : b.statuses.value.filter((x) => x !== s);
              }}
              data-testid={`sim-status-${s}`}
            />
            {s}
          </label>
        ))}
        <label class="check">
          <input
            type="checkbox"
            checked={b.shuffle.value}
            onChange={(e) => {
              b.shuffle.value = e.currentTarget.checked;
            }}
            data-testid="sim-shuffle"
          />
          in any order
        </label>
      </fieldset>
      <NumberField id="sim-status-duplicates" label="Each report again (times)" value={b.duplicates} min={0} max={20} />
      <NumberField id="sim-fail-rate" label="Fails (percent)" value={b.failRate} min={0} max={100} />
      <p class="field">
        <label for="sim-fail-code">Fails with code</label>
        <input
          id="sim-fail-code"
          value={b.failCode.value}
          placeholder="rejected"
          list="reasons"
          onInput={(e) => {
            b.failCode.value = e.currentTarget.value;
          }}
          data-testid="sim-fail-code"
        />
      </p>
      <datalist id="reasons">
        {reasons.map((r) => (
          <option key={r} value={r} />
        ))}
      </datalist>
      <button type="submit" class="primary" data-testid="sim-save">
        Apply
      </button>
      <p class="saved" role="status" data-testid="sim-saved">
        {saved.value}
      </p>
    </form>
  );
}

const root = document.getElementById("simulator");
if (root) render(<App />, root);
