import { Button } from "@mantine/core";
import { countSegments, plainSMS } from "@omni/shared";
import { t } from "../i18n";
import s from "./inbox.module.css";

/** How many different signs an offer names; more are not "a few". */
const named = 6;

/** What a sign looks like in a sentence: what cannot be seen is shown as an open box. */
function visible(sign: string): string {
  return /^[\p{L}\p{M}\p{P}\p{S}]+$/u.test(sign) ? sign : "\u2423";
}

/** How many SMS a text goes out as. */
export function SMSCounter({ text }: { text: string }) {
  const sent = text.trim();
  if (sent === "") return null;
  const count = countSegments(sent).segments;
  return (
    <span className={s.meta} data-testid="sms-count">
      {t("composer.parts", { characters: [...sent].length, count })}
    </span>
  );
}

/**
 * Where a few signs make a text go out as more SMS, and plainer ones look nearly the same, this offers to put those in their
 * place: `onReplace` gets the text with them.
 */
export function SMSOffer({ text, onReplace }: { text: string; onReplace: (text: string) => void }) {
  const sent = text.trim();
  const plain = plainSMS(sent);
  if (plain.replacements.length === 0) return null;
  const before = countSegments(sent).segments;
  const count = countSegments(plain.text).segments;
  if (count >= before) return null;
  const signs = [...new Set(plain.replacements.map((r) => visible(r.from)))];
  const shown = signs.slice(0, named).join(" ") + (signs.length > named ? " \u2026" : "");
  return (
    <Button
      type="button"
      size="compact-xs"
      variant="subtle"
      className={s.smsOffer}
      onClick={() => onReplace(plain.text)}
      data-testid="sms-replace"
    >
      {t("composer.replace", { count, before, signs: shown })}
    </Button>
  );
}
