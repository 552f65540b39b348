import { i18n, type Messages } from "@lingui/core";
import en from "./en.json";

i18n.load("en", en as unknown as Messages);
i18n.activate("en");

export { i18n };
export type MessageId = keyof typeof en;

/** The text of a message in the active language. */
export function t(id: MessageId, values?: Record<string, string | number>): string {
  return i18n._(id, values);
}
