import { I18nProvider } from "@lingui/react";
import { MantineProvider } from "@mantine/core";
import type { Interaction, Message } from "@omni/shared";
import { QueryClientProvider } from "@tanstack/react-query";
import { render } from "@testing-library/react";
import type { ReactElement } from "react";
import { MemoryRouter } from "react-router";
import { vi } from "vitest";
import { newQueryClient } from "../src/App";
import type { Channel, Contact, InteractionPage, User } from "../src/api/records";
import { useSession } from "../src/api/session";
import { i18n } from "../src/i18n";
import { LiveContext } from "../src/live/hooks";
import { keys } from "../src/live/keys";
import type { Live } from "../src/live/live";

export const me: User = {
  id: "u-me",
  name: "Mia Meyer",
  email: "mia@example.com",
  role: "agent",
  disabled: false,
  version: 1,
};
export const ana: User = { id: "u-ana", name: "Ana Novak", role: "agent", disabled: false, version: 1 };
export const t0 = 1_700_000_000_000;

export function interaction(over: Partial<Interaction> = {}): Interaction {
  return {
    id: "i1",
    contactId: "c1",
    channelId: "ch1",
    channelType: "SMS",
    groupId: "g1",
    owner: { type: "Group", id: "g1" },
    state: "open",
    contactName: "Maria Rossi",
    contactAddress: "+14155550100",
    lastSeq: 3,
    lastMessageAt: t0,
    lastPreview: "Hello there",
    lastDirection: "INBOUND",
    unread: 0,
    agentReadSeq: 3,
    contactReadSeq: 0,
    version: 1,
    createdAt: t0,
    ...over,
  };
}

export function message(seq: number, over: Partial<Message> = {}): Message {
  return {
    id: `m${seq}`,
    interactionId: "i1",
    seq,
    direction: "INBOUND",
    channelType: "SMS",
    payload: { type: "text", text: `text ${seq}` },
    at: t0 + seq * 1000,
    ...over,
  };
}

export const channel: Channel = {
  id: "ch1",
  name: "Support line",
  groupId: "g1",
  channelType: "SMS",
  address: "+14155550000",
  disabled: false,
  version: 1,
  createdAt: t0,
  capabilities: {
    maxTextLength: 20,
    segmented: true,
    captions: false,
    templates: false,
    deliveryStatus: true,
    readStatus: false,
    typing: false,
    reactions: false,
    replyTo: false,
    location: false,
    contactCards: false,
    readReceipts: false,
  },
};

export const contact: Contact = {
  id: "c1",
  name: "Maria Rossi",
  version: 1,
  createdAt: t0,
  labels: [],
  attributes: {},
  identities: [{ id: "x1", channelType: "SMS", address: "+14155550100", verified: false }],
};

export const page = (items: Interaction[], over: Partial<InteractionPage> = {}): InteractionPage => ({
  items,
  counts: { mine: 0, unassigned: items.length, all: items.length },
  topics: [],
  ...over,
});

/** Puts a component on a page where `me` is logged in and the usual things are known. */
export function show(ui: ReactElement, live: Partial<Live> = {}, on: Channel = channel) {
  useSession.setState(
    {
      status: "in",
      session: {
        accessToken: "a.b.c",
        expiresAt: 0,
        user: me,
        organisation: { id: "o", name: "O", createdAt: t0, reopenMinutes: 60, version: 1 },
      },
    },
    true,
  );
  const qc = newQueryClient();
  qc.setQueryData(keys.channels, [on]);
  qc.setQueryData(keys.users, [me, ana]);
  qc.setQueryData(keys.groups, [
    { id: "g1", name: "Billing", type: "SHARED", memberIds: [me.id, ana.id], colour: "#aa3300" },
  ]);
  qc.setQueryData(keys.contact("c1"), contact);
  const fake = {
    socket: { now: () => t0 + 60_000, retryNow: vi.fn() },
    send: vi.fn(),
    reportTyping: vi.fn(),
    reportRead: vi.fn(),
    openConversation: () => () => undefined,
    ...live,
  } as unknown as Live;
  const result = render(
    <MantineProvider>
      <I18nProvider i18n={i18n}>
        <QueryClientProvider client={qc}>
          <MemoryRouter>
            <LiveContext value={fake}>{ui}</LiveContext>
          </MemoryRouter>
        </QueryClientProvider>
      </I18nProvider>
    </MantineProvider>,
  );
  return { ...result, qc, live: fake };
}
