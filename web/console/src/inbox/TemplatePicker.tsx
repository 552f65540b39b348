import { Button, Modal, NativeSelect, TextInput } from "@mantine/core";
import type { Interaction } from "@omni/shared";
import { ArrowLeft, SendHorizontal } from "lucide-react";
import { useMemo, useRef, useState } from "react";
import type { ContactIdentity, Template } from "../api/records";
import { type MessageId, t } from "../i18n";
import { useChannel, useLiveClient, useTemplates } from "../live/hooks";
import { Failure } from "../ui/Failure";
import { HeaderFile, useHeaderFile } from "./HeaderFile";
import s from "./inbox.module.css";
import { type Field, type Form, fileKind, fill, formOf, messageOf, mistakeIn, textOf, type Values } from "./templates";

interface Props {
  interaction: Interaction;
  accountId: string;
  identity: ContactIdentity | undefined;
  onClose: () => void;
}

/** Chooses a template, has it filled in, and sends it (CO4). */
export default function TemplatePicker({ interaction, accountId, identity, onClose }: Props) {
  const [chosen, setChosen] = useState<Template>();
  return (
    <Modal
      opened
      onClose={onClose}
      title={t("templates.title")}
      size="lg"
      closeButtonProps={{ "aria-label": t("app.close") }}
      lockScroll={false}
    >
      {chosen ? (
        <Filling interaction={interaction} template={chosen} onBack={() => setChosen(undefined)} onSent={onClose} />
      ) : (
        <Choosing accountId={accountId} noMarketing={Boolean(identity?.noMarketing)} onChoose={setChosen} />
      )}
    </Modal>
  );
}

/** Why a template cannot be chosen; undefined: it can. */
function whyNot(m: Template, form: Form, noMarketing: boolean): string | undefined {
  if (!m.usable) {
    const known: readonly string[] = ["PENDING", "IN_APPEAL", "REJECTED", "PAUSED"];
    return t(`templates.why.${known.includes(m.status) ? m.status : "stopped"}` as MessageId);
  }
  if (noMarketing && m.category === "MARKETING") return t("templates.why.marketing");
  return form.beyond ? t("templates.why.form") : undefined;
}

function Choosing(p: { accountId: string; noMarketing: boolean; onChoose: (t: Template) => void }) {
  const { data, error, refetch } = useTemplates(p.accountId);
  const [search, setSearch] = useState("");
  const [language, setLanguage] = useState("");
  const all = useMemo(() => data?.map((m) => ({ m, form: formOf(m) })) ?? [], [data]);
  const languages = useMemo(() => [...new Set(all.map(({ m }) => m.language))].sort(), [all]);
  if (error) return <Failure text={t("templates.failed")} error={error} onRetry={() => void refetch()} />;
  if (!data) return <p role="status">{t("templates.loading")}</p>;
  if (all.length === 0) return <p data-testid="templates-none">{t("templates.none")}</p>;
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const found = all.filter(({ m, form }) => {
    const text = `${m.name.replaceAll("_", " ")} ${m.name} ${form.header} ${form.body}`.toLowerCase();
    return (!language || m.language === language) && words.every((w) => text.includes(w));
  });
  return (
    <div className={s.templates}>
      <div className={s.templateFilters}>
        <TextInput
          label={t("templates.search")}
          type="search"
          value={search}
          onChange={(e) => setSearch(e.currentTarget.value)}
          data-autofocus
          data-testid="template-search"
        />
        <NativeSelect
          label={t("templates.language")}
          value={language}
          onChange={(e) => setLanguage(e.currentTarget.value)}
          data={[{ value: "", label: t("templates.all") }, ...languages]}
          data-testid="template-language"
        />
      </div>
      {found.length === 0 && <p role="status">{t("templates.noneFound")}</p>}
      <ul className={s.templateList} aria-label={t("templates.list")}>
        {found.map(({ m, form }) => {
          const why = whyNot(m, form, p.noMarketing);
          return (
            <li key={m.id}>
              <button type="button" disabled={why !== undefined} onClick={() => p.onChoose(m)} data-testid="template">
                <span className={s.templateTitle}>
                  <strong>{m.name}</strong>
                  <span className={s.meta}>
                    {m.language} · {t(`templates.category.${m.category}`)}
                  </span>
                </span>
                <span className={s.templateBody} dir="auto">
                  {form.body}
                </span>
                {why && <span className={s.templateWhy}>{why}</span>}
              </button>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function labelOf(f: Field): string {
  switch (f.kind) {
    case "text":
      return t("templates.place", { part: t(`templates.part.${f.part as "body"}`), name: f.place ?? "" });
    case "url":
    case "code":
      return t(`templates.part.${f.kind}`, { label: f.label ?? "" });
    default:
      return t(`templates.part.${f.kind}`);
  }
}

function Filling(p: { interaction: Interaction; template: Template; onBack: () => void; onSent: () => void }) {
  const { template: m } = p;
  const live = useLiveClient();
  const form = useMemo(() => formOf(m), [m]);
  const [values, setValues] = useState<Values>({});
  const [tried, setTried] = useState(false);
  const fields = useRef<HTMLFormElement>(null);
  const able = useChannel(p.interaction.channelId)?.capabilities;
  /** The field that takes a file: a template has one at most. */
  const fileField = form.fields.find(fileKind);
  const { file, choose, remove } = useHeaderFile(fileField && fileKind(fileField), able);
  const send = () => {
    const wrong = form.fields.find((f) => (f === fileField && file ? !file.done : mistakeIn(f, values[f.key] ?? "")));
    if (wrong) {
      setTried(true);
      fields.current?.querySelector<HTMLElement>(`[name="${CSS.escape(wrong.key)}"]`)?.focus();
      return;
    }
    const done = file?.done;
    const template = messageOf(m, form, values, fileField && done ? { [fileField.key]: done.id } : {});
    live.send(p.interaction.id, textOf(form, values), { template, ...(done && { files: [done] }) });
    p.onSent();
  };
  return (
    <form
      ref={fields}
      className={s.templates}
      noValidate
      onSubmit={(e) => {
        e.preventDefault();
        send();
      }}
    >
      <p className={s.templateTitle}>
        <strong>{m.name}</strong>
        <span className={s.meta}>
          {m.language} · {t(`templates.category.${m.category}`)}
        </span>
      </p>
      {form.fields.map((f, n) => {
        const mistake = tried ? mistakeIn(f, values[f.key] ?? "") : undefined;
        const kind = fileKind(f);
        if (kind) {
          return (
            <HeaderFile
              key={f.key}
              kind={kind}
              able={able}
              file={file}
              onChoose={(chosen) => void choose(chosen)}
              onRemove={remove}
              name={f.key}
              value={values[f.key] ?? ""}
              onChange={(value) => setValues({ ...values, [f.key]: value })}
              error={mistake && t(`templates.${mistake}`)}
              autoFocus={n === 0}
            />
          );
        }
        return (
          <TextInput
            key={f.key}
            name={f.key}
            label={labelOf(f)}
            required={!f.optional}
            placeholder={f.example ?? ""}
            value={values[f.key] ?? ""}
            onChange={(e) => setValues({ ...values, [f.key]: e.currentTarget.value })}
            error={mistake && t(`templates.${mistake}`)}
            autoComplete="off"
            dir="auto"
            data-autofocus={n === 0 || undefined}
            data-testid="template-field"
          />
        );
      })}
      <section aria-label={t("templates.preview")} className={s.templatePreview} data-testid="template-preview">
        {form.header && <strong dir="auto">{fill(form.header, "header", values)}</strong>}
        <p dir="auto">{fill(form.body, "body", values)}</p>
        {form.footer && (
          <p className={s.meta} dir="auto">
            {form.footer}
          </p>
        )}
        {form.buttons.length > 0 && (
          <p className={s.templateButtons}>
            {form.buttons.map((b) => (
              <span key={b}>{b}</span>
            ))}
          </p>
        )}
      </section>
      <div className={s.sendRow}>
        <Button
          variant="default"
          size="xs"
          onClick={p.onBack}
          leftSection={<ArrowLeft size={14} aria-hidden="true" />}
          data-testid="template-back"
        >
          {t("templates.back")}
        </Button>
        <Button
          type="submit"
          size="xs"
          leftSection={<SendHorizontal size={14} aria-hidden="true" />}
          data-testid="template-send"
        >
          {t("templates.send")}
        </Button>
      </div>
    </form>
  );
}
