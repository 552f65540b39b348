import type { ChannelType } from "@omni/shared";
import { Globe, MessageCircle, MessageSquare, Radio } from "lucide-react";
import { t } from "../i18n";
import s from "./ui.module.css";

const icons = { SMS: MessageSquare, MMS: MessageSquare, WhatsApp: MessageCircle, PubNub: Radio, LiveChat: Globe };

export function ChannelIcon({ type, size = 14 }: { type: ChannelType; size?: number }) {
  const Icon = icons[type] ?? MessageSquare;
  return <Icon size={size} aria-hidden="true" />;
}

/** The letters of a name: one of the first word, one of the last. A number has none. */
export function initials(name: string): string {
  const words = name.split(/\s+/).filter((w) => /^\p{L}/u.test(w));
  const first = words[0] ?? "";
  const last = words.length > 1 ? (words.at(-1) ?? "") : "";
  return [first, last].map((w) => [...w][0]?.toUpperCase() ?? "").join("");
}

/** Which of the eight tints a person has: always the same one. */
function tint(id: string): number {
  let sum = 0;
  for (const c of id) sum = (sum * 31 + (c.codePointAt(0) ?? 0)) >>> 0;
  return sum % 8;
}

export function Avatar({
  id,
  name,
  channel,
  small,
}: {
  id: string;
  name: string;
  channel?: ChannelType;
  small?: boolean;
}) {
  return (
    <span className={`${s.avatar} ${small ? s.avatarSmall : ""}`} data-tint={tint(id)} aria-hidden="true">
      {initials(name) || "#"}
      {channel && (
        <span className={s.badge} title={t(`channel.${channel}`)}>
          <ChannelIcon type={channel} size={10} />
        </span>
      )}
    </span>
  );
}
