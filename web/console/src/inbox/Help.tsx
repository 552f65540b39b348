import { Modal } from "@mantine/core";
import { t } from "../i18n";
import { useUi } from "../ui/prefs";
import s from "./inbox.module.css";

const map = [
  ["j", "help.next"],
  ["k", "help.previous"],
  ["o", "help.open"],
  ["u", "help.list"],
  ["r", "help.reply"],
  ["e", "help.resolve"],
  ["Shift+A", "help.claim"],
  ["v", "help.templates"],
  ["i", "help.contact"],
  ["g i", "help.inbox"],
  ["F6", "help.columns"],
  ["?", "help.help"],
  ["Esc", "help.escape"],
] as const;

export function Help() {
  const open = useUi((u) => u.helpOpen);
  const setOpen = useUi((u) => u.setHelpOpen);
  return (
    <Modal
      opened={open}
      onClose={() => setOpen(false)}
      title={t("help.title")}
      closeButtonProps={{ "aria-label": t("app.close") }}
      lockScroll={false}
    >
      <dl className={s.keys} data-testid="help">
        {map.map(([key, what]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{t(what)}</dd>
          </div>
        ))}
      </dl>
      <p>{t("help.note")}</p>
    </Modal>
  );
}
