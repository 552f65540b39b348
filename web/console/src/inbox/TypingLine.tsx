import { t } from "../i18n";
import { useLive } from "../live/store";
import s from "./inbox.module.css";

/** Has its height always, so that nothing moves when somebody begins to type. */
export function TypingLine({ id, name }: { id: string; name: string }) {
  const typing = useLive((x) => x.typing[id]);
  const text =
    typing &&
    (typing.who.type === "CONTACT"
      ? t("typing.contact", { name })
      : t("typing.agent", { name: typing.who.name || t("typing.somebody") }));
  return (
    <div className={s.typing} data-testid="typing">
      {text && (
        <>
          <span className={s.typingDots} aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          {text}
        </>
      )}
    </div>
  );
}
