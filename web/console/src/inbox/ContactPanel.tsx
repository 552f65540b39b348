import { address, age, fullTime } from "@omni/shared";
import { BadgeCheck, Ban, CircleCheck } from "lucide-react";
import { t } from "../i18n";
import { useContact, useInteraction, useNow } from "../live/hooks";
import { Avatar, ChannelIcon } from "../ui/Avatar";
import { Failure } from "../ui/Failure";
import { contactName } from "../ui/names";
import s from "./inbox.module.css";

export function ContactPanel({ conversationId }: { conversationId: string }) {
  const { data: interaction } = useInteraction(conversationId);
  const { data: contact, error, refetch } = useContact(interaction?.contactId);
  const now = useNow(60_000);
  const name = contact?.name || (interaction ? contactName(interaction) : "");
  return (
    <div className={s.contactBody} id="contact" tabIndex={-1} data-testid="contact-panel">
      {interaction && (
        <div className={s.contactTop}>
          <Avatar id={interaction.contactId} name={contact?.name ?? ""} />
          <h2 className={s.contactName} dir="auto">
            {name}
          </h2>
        </div>
      )}
      {error && <Failure text={t("contact.failed")} error={error} onRetry={() => void refetch()} />}
      {contact && (
        <>
          <h3 className={s.contactHead}>{t("contact.identities")}</h3>
          <ul className={s.identities}>
            {contact.identities.map((i) => (
              <li key={i.id} data-testid="identity">
                <span className={s.identityIcon}>
                  <ChannelIcon type={i.channelType} size={16} />
                </span>
                <div>
                  <p className={s.identityAddress}>
                    <bdi>{i.channelType === "LiveChat" ? t("contact.visitor") : address(i.channelType, i.address)}</bdi>
                    {i.verified && (
                      <span title={t("contact.verified")}>
                        <BadgeCheck size={14} aria-hidden="true" />
                        <span className="sr-only">{t("contact.verified")}</span>
                      </span>
                    )}
                  </p>
                  <p className={s.meta}>
                    {t(`channel.${i.channelType}`)}
                    {i.lastSeenAt && (
                      <span title={fullTime(i.lastSeenAt)}>
                        {" · "}
                        {t("contact.lastSeen", { time: age(i.lastSeenAt, now) })}
                      </span>
                    )}
                  </p>
                  {i.optedOutAt ? (
                    <p className={s.optedOut} data-testid="opted-out">
                      <Ban size={14} aria-hidden="true" />
                      {t("contact.optedOut", { date: shortDate(i.optedOutAt) })}
                    </p>
                  ) : (
                    <p className={s.mayWrite}>
                      <CircleCheck size={14} aria-hidden="true" />
                      {t("contact.canWrite")}
                    </p>
                  )}
                </div>
              </li>
            ))}
          </ul>
          <dl className={s.facts}>
            {contact.language && (
              <div>
                <dt>{t("contact.language")}</dt>
                <dd>{contact.language}</dd>
              </div>
            )}
            <div>
              <dt>{t("contact.since")}</dt>
              <dd>{shortDate(contact.createdAt)}</dd>
            </div>
            {contact.labels.length > 0 && (
              <div>
                <dt>{t("contact.labels")}</dt>
                <dd>{contact.labels.join(", ")}</dd>
              </div>
            )}
            {Object.entries(contact.attributes).map(([key, value]) => (
              <div key={key}>
                <dt>
                  <bdi>{key}</bdi>
                </dt>
                <dd>
                  <bdi>{value}</bdi>
                </dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </div>
  );
}

function shortDate(at: number): string {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(at);
}
