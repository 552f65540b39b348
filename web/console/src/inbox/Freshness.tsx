import { clockSeconds } from "@omni/shared";
import { t } from "../i18n";
import { useFreshness } from "../live/hooks";
import { useLive } from "../live/store";
import s from "./inbox.module.css";

/** Says how fresh the screen is (ST4-ST7). */
export function Freshness() {
  const freshness = useFreshness();
  const heard = useLive((x) => x.lastHeardAt);
  const caughtUp = useLive((x) => x.caughtUp);
  const time = heard ? clockSeconds(heard) : "";
  let text: string;
  if (freshness === "stopped") text = t("footer.stopped");
  else if (freshness === "live") text = caughtUp ? t("footer.caughtUp", caughtUp) : t("footer.live");
  else if (!heard) text = t("footer.reconnectingNever");
  else text = t(freshness === "offline" ? "footer.offline" : "footer.reconnecting", { time });
  return (
    <div className={s.footer} data-testid="freshness" data-state={freshness}>
      <span className={s.dot} data-state={freshness} />
      {text}
    </div>
  );
}
