import { fileSize } from "@omni/shared";
import type { Capabilities } from "../api/records";
import { t } from "../i18n";

interface Sized {
  /** "" if it is not known yet. */
  contentType: string;
  size: number;
}

function matches(types: readonly string[] | null | undefined, contentType: string): boolean {
  const all = `${contentType.split("/")[0]}/*`;
  return types?.some((x) => x.toLowerCase() === contentType || x.toLowerCase() === all || x === "*/*") ?? false;
}

/** The largest file of a type, 0: any. Of limits that fit, one that names the type itself counts. */
function most(c: Capabilities, contentType: string): number {
  let bytes = c.maxMediaBytes ?? 0;
  let exact = false;
  for (const limit of c.mediaLimits ?? []) {
    const named = limit.types?.some((x) => x.toLowerCase() === contentType) ?? false;
    if (named || (!exact && matches(limit.types, contentType))) [bytes, exact] = [limit.maxBytes, named];
  }
  return bytes;
}

const typeOf = (contentType: string) => (contentType.split(";")[0] ?? "").trim().toLowerCase();

/** Why each of some files, in order, does not go by a channel; undefined where one does (CO6). */
export function fits(files: readonly Sized[], c: Capabilities | undefined): (string | undefined)[] {
  let total = 0;
  let count = 0;
  return files.map((f) => {
    if (!c?.mediaTypes?.length) return t("attach.none");
    const type = typeOf(f.contentType);
    if (type && !matches(c.mediaTypes, type)) return t("attach.type", { type });
    const bytes = type ? most(c, type) : 0;
    if (bytes > 0 && f.size > bytes) return t("attach.tooLarge", { size: fileSize(bytes) });
    if (f.size === 0) return t("attach.empty");
    if (c.totalMediaBytes && total + f.size > c.totalMediaBytes) {
      return t("attach.tooMuch", { size: fileSize(c.totalMediaBytes) });
    }
    if (c.maxMediaCount && count >= c.maxMediaCount) return t("attach.tooMany", { count: c.maxMediaCount });
    total += f.size;
    count++;
    return undefined;
  });
}

/** What a channel carries, in words, before anything is chosen. */
export function limits(c: Capabilities): string {
  const kinds = new Set<string>();
  for (const type of c.mediaTypes ?? []) {
    const [major = "", minor = ""] = type.split("/");
    if (minor === "*" && ["image", "audio", "video"].includes(major)) kinds.add(t(`kind.${major as "image"}`));
    else kinds.add(minor.length <= 6 ? minor.toUpperCase() : t("attach.others"));
  }
  const parts = [[...kinds].join(", ")];
  if (c.maxMediaBytes) parts.push(t("attach.each", { size: fileSize(c.maxMediaBytes) }));
  if (c.maxMediaCount) parts.push(t("attach.count", { count: c.maxMediaCount }));
  return parts.join(" · ");
}
