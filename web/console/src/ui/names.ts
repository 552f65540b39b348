import { address, type Interaction, type Owner } from "@omni/shared";
import type { Group } from "../api/records";
import { t } from "../i18n";

/** Who a conversation is with: the name, else the number as it is read, else what kind of person it is. */
export function contactName(i: Pick<Interaction, "contactName" | "contactAddress" | "channelType">): string {
  if (i.contactName) return i.contactName;
  if (i.channelType === "LiveChat") return t("contact.visitor");
  return address(i.channelType, i.contactAddress) || t("contact.unnamed");
}

export function ownerName(
  owner: Owner,
  users: { nameOf(id: string | undefined): string | undefined },
  groups: Group[] | undefined,
): string {
  if (owner.type === "User") return users.nameOf(owner.id) ?? t("typing.somebody");
  return groups?.find((g) => g.id === owner.id)?.name ?? t("header.unowned");
}
