import type { ContactCard, Place, Reaction } from "@omni/shared";
import { MapPin, SmilePlus, UserRound } from "lucide-react";
import { useState } from "react";
import { t } from "../i18n";
import { useLiveClient } from "../live/hooks";
import s from "./inbox.module.css";

/** A place, with a way to a map that opens elsewhere: nothing is loaded from there. */
export function PlaceCard({ place }: { place: Place }) {
  const at = `${place.latitude.toFixed(6)}, ${place.longitude.toFixed(6)}`;
  const where = `mlat=${place.latitude}&mlon=${place.longitude}#map=17/${place.latitude}/${place.longitude}`;
  return (
    <div className={s.file} data-testid="place">
      <MapPin size={18} aria-hidden="true" />
      <div>
        <p className={s.fileName}>
          <bdi>{place.name || t("place.unnamed")}</bdi>
        </p>
        <p className={s.fileMeta}>
          <bdi>{place.address || at}</bdi>
        </p>
        <a href={`https://www.openstreetmap.org/?${where}`} target="_blank" rel="noopener noreferrer">
          {t("place.map")}
        </a>
      </div>
    </div>
  );
}

/** Contacts that somebody passed on. */
export function ContactCards({ cards }: { cards: readonly ContactCard[] }) {
  return cards.map((c, n) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: they have no ids, and never change places
    <div key={n} className={s.file} data-testid="contact-card">
      <UserRound size={18} aria-hidden="true" />
      <div>
        <p className={s.fileName}>
          <bdi>{c.name}</bdi>
        </p>
        {[c.organisation, ...(c.phones ?? []), ...(c.emails ?? [])].map(
          (line) =>
            line && (
              <p key={line} className={s.fileMeta}>
                <bdi>{line}</bdi>
              </p>
            ),
        )}
      </div>
    </div>
  ));
}

const offered = ["👍", "❤️", "😂", "😮", "🙏"];

interface ReactionsProps {
  messageId: string;
  reactions: readonly Reaction[];
  /** Who is logged in. */
  me: string;
  /** The channel shows contacts our reactions, and this message can have some. */
  can: boolean;
}

/** What people put on a message; one's own can be changed where the channel shows it to the contact. */
export function Reactions({ messageId, reactions, me, can }: ReactionsProps) {
  const live = useLiveClient();
  const [open, setOpen] = useState(false);
  const mine = reactions.find((r) => r.senderType === "USER" && r.senderId === me)?.emoji;
  const counts = new Map<string, number>();
  for (const r of reactions) counts.set(r.emoji, (counts.get(r.emoji) ?? 0) + 1);
  if (!can && counts.size === 0) return null;
  const react = (emoji: string) => {
    setOpen(false);
    void live.react(messageId, emoji === mine ? "" : emoji);
  };
  return (
    <p className={s.reactions} data-testid="reactions">
      {[...counts].map(([emoji, n]) => (
        <button
          key={emoji}
          type="button"
          disabled={!can}
          aria-pressed={emoji === mine}
          aria-label={t("reaction.count", { emoji, count: n })}
          onClick={() => react(emoji)}
        >
          {emoji}
          {n > 1 && ` ${n}`}
        </button>
      ))}
      {can && (
        <button type="button" aria-expanded={open} aria-label={t("reaction.add")} onClick={() => setOpen(!open)}>
          <SmilePlus size={14} aria-hidden="true" />
        </button>
      )}
      {open &&
        offered.map((emoji) => (
          <button
            key={`+${emoji}`}
            type="button"
            aria-label={t("reaction.with", { emoji })}
            onClick={() => react(emoji)}
          >
            {emoji}
          </button>
        ))}
    </p>
  );
}
