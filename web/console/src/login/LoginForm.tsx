import { Button, PasswordInput, TextInput } from "@mantine/core";
import { isCode, OmniError } from "@omni/shared";
import { useState } from "react";
import { login } from "../api/session";
import { t } from "../i18n";
import s from "./login.module.css";

export function loginFailure(e: unknown): string {
  if (isCode(e, "unauthenticated", "forbidden", "invalid", "not_found")) return t("login.wrong");
  if (isCode(e, "rate_limited")) {
    return t("login.tooMany", { seconds: Math.max(1, Math.ceil(e.retryAfterMs / 1000)) });
  }
  if (isCode(e, "offline", "timeout", "unavailable")) return t("login.unreachable");
  return t("login.failed", { message: e instanceof OmniError ? `${e.message} ${e.requestId}` : "" });
}

export function LoginForm({ email: known, notice }: { email?: string; notice?: string }) {
  const [email, setEmail] = useState(known ?? "");
  const [password, setPassword] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState(notice ?? "");

  const submit = async (e: React.FormEvent) => {
    e.preventDefault();
    setBusy(true);
    setError("");
    try {
      await login({ email: email.trim(), password });
    } catch (cause) {
      setError(loginFailure(cause));
      setBusy(false);
    }
  };
  return (
    <form className={s.form} onSubmit={submit} data-testid="login-form">
      {error && (
        <p className={s.error} role="alert" data-testid="login-error">
          {error}
        </p>
      )}
      <TextInput
        label={t("login.email")}
        type="email"
        name="email"
        autoComplete="username"
        required
        withAsterisk={false}
        value={email}
        onChange={(e) => setEmail(e.currentTarget.value)}
        data-testid="login-email"
      />
      <PasswordInput
        label={t("login.password")}
        name="password"
        autoComplete="current-password"
        required
        withAsterisk={false}
        data-autofocus={known ? true : undefined}
        value={password}
        onChange={(e) => setPassword(e.currentTarget.value)}
        data-testid="login-password"
      />
      <Button type="submit" loading={busy} fullWidth data-testid="login-submit">
        {t("login.submit")}
      </Button>
    </form>
  );
}
