import { Button } from "@mantine/core";
import { OmniError } from "@omni/shared";
import { t } from "../i18n";
import s from "./ui.module.css";

/** A request failed: said where its result would be, with a way to try again and what support will ask for (ST8). */
export function Failure({ text, error, onRetry }: { text: string; error?: unknown; onRetry?: () => void }) {
  const requestId = error instanceof OmniError ? error.requestId : "";
  return (
    <div className={s.notice} role="alert">
      <p>{text}</p>
      {requestId && <p className={s.meta}>{t("app.requestId", { id: requestId })}</p>}
      {onRetry && (
        <Button size="xs" variant="default" onClick={onRetry}>
          {t("app.retry")}
        </Button>
      )}
    </div>
  );
}
