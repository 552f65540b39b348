import { Button } from "@mantine/core";
import { clock } from "@omni/shared";
import { t } from "../i18n";
import { useFreshness, useLiveClient } from "../live/hooks";
import { useLive } from "../live/store";
import s from "./inbox.module.css";

/** What stands between this conversation and being up to date: no connection, or a channel in trouble (ST6, ST12). */
export function Banner({ channelId }: { channelId: string }) {
  const live = useLiveClient();
  const freshness = useFreshness();
  const downSince = useLive((x) => x.downSince);
  const socket = useLive((x) => x.socket);
  const count = useLive((x) => x.pending.filter((p) => !p.error).length);
  const health = useLive((x) => x.health[channelId]?.state);
  if (freshness === "stopped" && socket.state === "stopped") {
    // The end of a session has its own dialog.
    if (socket.reason === "session" || socket.reason === "closed") return null;
    return (
      <div className={s.banner} data-tone="danger" role="alert" data-testid="banner-stopped">
        <span>{t(`banner.${socket.reason}`)}</span>
        {socket.reason !== "removed" && (
          <Button size="compact-xs" variant="default" onClick={() => location.reload()}>
            {t("app.reload")}
          </Button>
        )}
      </div>
    );
  }
  if (freshness === "offline") {
    return (
      <div className={s.banner} role="alert" data-testid="banner-offline">
        <span>{t("banner.offline", { time: clock(downSince), count })}</span>
        <Button size="compact-xs" variant="default" onClick={() => live.socket.retryNow()} data-testid="retry-now">
          {t("banner.retry")}
        </Button>
      </div>
    );
  }
  if (health === "down" || health === "degraded") {
    return (
      <div className={s.banner} role="status" data-testid="banner-channel">
        {t(health === "down" ? "banner.channelDown" : "banner.channelDegraded")}
      </div>
    );
  }
  return null;
}
