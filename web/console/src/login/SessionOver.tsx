import { Anchor, Modal } from "@mantine/core";
import { useEffect } from "react";
import { logout, useSession } from "../api/session";
import { t } from "../i18n";
import { useLiveClient } from "../live/hooks";
import { LoginForm } from "./LoginForm";

/** Asks for the login again on top of everything, which stays as it was (ST10). */
export function SessionOver() {
  const state = useSession();
  const live = useLiveClient();
  const open = state.status === "expired";
  // Here or in another tab: whoever logs in, this one goes on.
  useEffect(() => {
    if (!open) live.resume();
  }, [open, live]);
  return (
    <Modal
      opened={open}
      onClose={() => undefined}
      withCloseButton={false}
      closeOnEscape={false}
      closeOnClickOutside={false}
      lockScroll={false}
      title={t("session.over")}
      centered
    >
      <p>{t("session.overText")}</p>
      {open && <LoginForm {...(state.session.user.email ? { email: state.session.user.email } : {})} />}
      <Anchor component="button" type="button" mt="md" onClick={() => void logout()}>
        {t("session.other")}
      </Anchor>
    </Modal>
  );
}
