import type { Status } from "@omni/shared";
import { Check, CheckCheck, CircleHelp, Clock, TriangleAlert } from "lucide-react";
import { t } from "../i18n";
import s from "./inbox.module.css";

export type ShownStatus = Status | "local";

export function statusText(status: ShownStatus, receipts: boolean): string {
  return status === "sent" && !receipts ? t("status.sentOnly") : t(`status.${status}`);
}

/** The sign of a message's status; its words stand beside it for those who do not see it (TH4). */
export function StatusMark({ status, receipts }: { status: ShownStatus; receipts: boolean }) {
  const text = statusText(status, receipts);
  const Icon = {
    local: Clock,
    queued: Clock,
    unknown: CircleHelp,
    sent: Check,
    failed: TriangleAlert,
    undeliverable: TriangleAlert,
    delivered: CheckCheck,
    read: CheckCheck,
  }[status];
  return (
    <span className={s.status} data-status={status} title={text} data-testid="status">
      <Icon size={14} strokeWidth={status === "read" ? 3 : 2} aria-hidden="true" />
      <span className="sr-only">{text}</span>
    </span>
  );
}
