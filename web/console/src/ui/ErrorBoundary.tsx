import { Button } from "@mantine/core";
import { Component, type ReactNode } from "react";
import { t } from "../i18n";
import s from "./ui.module.css";

interface Props {
  /** A change of it tries again: another conversation is not to blame for this one. */
  resetKey?: string | undefined;
  children: ReactNode;
}

/** Keeps a crash inside one part of the screen (ST13). */
export class ErrorBoundary extends Component<Props, { failed: boolean; key: string | undefined }> {
  override state = { failed: false, key: this.props.resetKey };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  static getDerivedStateFromProps(props: Props, state: { key: string | undefined }) {
    return props.resetKey === state.key ? null : { failed: false, key: props.resetKey };
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <div className={s.notice} role="alert">
        <p>
          <strong>{t("crash.title")}</strong> {t("crash.text")}
        </p>
        <Button size="xs" variant="default" onClick={() => this.setState({ failed: false })}>
          {t("app.retry")}
        </Button>
      </div>
    );
  }
}
