import { isCode } from "@omni/shared";
import { useEffect, useRef, useState } from "react";
import { Navigate, useLocation } from "react-router";
import { login, refresh, useSession } from "../api/session";
import { t } from "../i18n";
import { Failure } from "../ui/Failure";
import { LoginForm } from "./LoginForm";
import s from "./login.module.css";

/**
 * Logs in by password, or at once by a one-time link (`/login#token=…`; what stands after # never leaves the browser).
 * A session that this browser still has is taken up without asking.
 */
export function LoginPage() {
  const status = useSession((x) => x.status);
  const at = useLocation();
  const begun = useRef(false);
  const [byLink, setByLink] = useState(() => new URLSearchParams(location.hash.slice(1)).get("token") ?? "");
  const [notice, setNotice] = useState("");
  const [unreachable, setUnreachable] = useState<unknown>();

  const begin = async (loginToken: string) => {
    setUnreachable(undefined);
    try {
      if (loginToken) await login({ loginToken });
      else await refresh();
    } catch (e) {
      if (loginToken && !isCode(e, "offline", "timeout", "unavailable", "rate_limited")) {
        setNotice(t("login.linkFailed"));
        setByLink("");
        useSession.setState({ status: "out" }, true);
      } else {
        setUnreachable(e);
      }
    }
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: once; a link works only once
  useEffect(() => {
    document.title = t("title.plain", { page: t("login.title") });
    if (begun.current) return;
    begun.current = true;
    if (byLink) history.replaceState(history.state, "", location.pathname);
    if (byLink || status === "loading") void begin(byLink);
  }, []);

  if (status === "in" && (!byLink || begun.current)) {
    const to = (at.state as { to?: string } | null)?.to;
    return <Navigate to={to && !to.startsWith("/login") ? to : "/inbox/mine"} replace />;
  }
  return (
    <main className={s.page}>
      <div className={s.card}>
        <h1 className={s.title}>{t("app.name")}</h1>
        {unreachable ? (
          <Failure text={t("login.unreachable")} error={unreachable} onRetry={() => void begin(byLink)} />
        ) : byLink ? (
          <p role="status">{t("login.byLink")}</p>
        ) : (
          status === "out" && <LoginForm notice={notice} />
        )}
      </div>
    </main>
  );
}
