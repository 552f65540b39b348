import type { Message } from "@omni/shared";
import type { QueryClient } from "@tanstack/react-query";
import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Channel, Contact, Template, Uploaded } from "../src/api/records";
import { upload } from "../src/api/upload";
import { Bubble } from "../src/inbox/Bubble";
import { Composer } from "../src/inbox/Composer";
import { fill, fitsKind, formOf, messageOf, mistakeIn, textOf } from "../src/inbox/templates";
import { actions } from "../src/inbox/useKeys";
import { timeLeft, windowEnds } from "../src/inbox/window";
import { keys } from "../src/live/keys";
import { useLive } from "../src/live/store";
import { useDrafts } from "../src/ui/prefs";
import { channel, contact, interaction, me, message, show, t0 } from "./make";

vi.mock("../src/api/upload");

const hour = 3_600_000;
/** What the fake socket's clock says. */
const now = t0 + 60_000;

const whatsapp: Channel = {
  ...channel,
  channelType: "WhatsApp",
  carrierAccountId: "a1",
  capabilities: { ...channel.capabilities, maxTextLength: 4096, templates: true, windowHours: 24 },
};

const reminderParts = [
  { type: "HEADER", format: "TEXT", text: "Visit {{1}}", example: { header_text: ["tomorrow"] } },
  { type: "BODY", text: "Hello {{1}}, we expect you on {{2}}.", example: { body_text: [["Maria", "Monday"]] } },
  { type: "FOOTER", text: "Clinic" },
  {
    type: "BUTTONS",
    buttons: [
      { type: "QUICK_REPLY", text: "Confirm" },
      { type: "URL", text: "Change", url: "https://clinic.example/{{1}}" },
      { type: "COPY_CODE" },
    ],
  },
];

function template(over: Partial<Template> = {}): Template {
  return {
    id: "t1",
    carrierAccountId: "a1",
    name: "appointment_reminder",
    language: "en_US",
    category: "UTILITY",
    status: "APPROVED",
    usable: true,
    quality: "GREEN",
    namedParameters: false,
    components: reminderParts,
    syncedAt: t0,
    version: 1,
    createdAt: t0,
    ...over,
  };
}

const plain = (text: string) => [{ type: "BODY", text }];

describe("a template's form", () => {
  const values = {
    "header.1": "today",
    "body.1": "Maria",
    "body.2": "Friday",
    "button.1": "5521",
    "button.2": "SAVE20",
  };

  it("CO4 asks for every place and sends each where it belongs", () => {
    const t = template();
    const form = formOf(t);
    expect(form.fields.map((f) => f.key)).toEqual(["header.1", "body.1", "body.2", "button.1", "button.2"]);
    expect(form.fields.map((f) => f.example)).toEqual(["tomorrow", "Maria", "Monday", undefined, undefined]);
    expect(form.buttons).toEqual(["Confirm", "Change"]);
    expect(textOf(form, values)).toBe("Visit today\nHello Maria, we expect you on Friday.\nClinic");
    expect(messageOf(t, form, values)).toEqual({
      templateId: "t1",
      components: [
        { type: "header", parameters: [{ type: "text", text: "today" }] },
        {
          type: "body",
          parameters: [
            { type: "text", text: "Maria" },
            { type: "text", text: "Friday" },
          ],
        },
        { type: "button", subType: "url", index: 1, parameters: [{ type: "text", text: "5521" }] },
        { type: "button", subType: "copy_code", index: 2, parameters: [{ type: "coupon_code", text: "SAVE20" }] },
      ],
    });
    const none = template({ components: plain("We are closed today.") });
    expect(messageOf(none, formOf(none), {})).toEqual({ templateId: "t1" });
  });

  it("numbers are in order, names are named, and what fills a place is not looked into", () => {
    const numbered = formOf(template({ components: plain("a {{2}} b {{10}} c {{1}} d {{2}} e") }));
    expect(numbered.fields.map((f) => f.place)).toEqual(["1", "2", "10"]);
    const t = template({ namedParameters: true, components: plain("Dear {{name}}, {{day}} it is.") });
    const form = formOf(t);
    const filled = { "body.name": "{{day}}", "body.day": "Monday" };
    expect(textOf(form, filled)).toBe("Dear {{day}}, Monday it is.");
    expect(messageOf(t, form, filled).components?.[0]?.parameters).toEqual([
      { type: "text", name: "name", text: "{{day}}" },
      { type: "text", name: "day", text: "Monday" },
    ]);
    expect(fill("Hi {{name}}!", "body", {})).toBe("Hi {{name}}!");
  });

  it("CO4 takes files and places as headers", () => {
    for (const [format, kind] of [
      ["IMAGE", "image"],
      ["VIDEO", "video"],
      ["DOCUMENT", "document"],
    ] as const) {
      const t = template({ components: [{ type: "HEADER", format }, ...plain("Look")] });
      const form = formOf(t);
      expect(messageOf(t, form, { [`header.${kind}`]: " https://x.example/1 " }).components).toEqual([
        { type: "header", parameters: [{ type: kind, url: "https://x.example/1" }] },
      ]);
      const uploaded = { [`header.${kind}`]: "f1" };
      expect(messageOf(t, form, { [`header.${kind}`]: "https://x.example/1" }, uploaded).components).toEqual([
        { type: "header", parameters: [{ type: kind, fileId: "f1" }] },
      ]);
    }
    const t = template({ components: [{ type: "HEADER", format: "LOCATION" }, ...plain("Here")] });
    const at = { "header.latitude": "-1.28", "header.longitude": "36.8", "header.placeName": "Clinic" };
    expect(messageOf(t, formOf(t), at).components).toEqual([
      {
        type: "header",
        parameters: [{ type: "location", location: { latitude: -1.28, longitude: 36.8, name: "Clinic" } }],
      },
    ]);
  });

  it.each<["image" | "video" | "document", string, boolean]>([
    ["image", "image/png", true],
    ["image", "", true],
    ["image", "video/mp4", false],
    ["video", "video/mp4", true],
    ["video", "application/pdf", false],
    ["document", "application/pdf", true],
    ["document", "text/plain", true],
    ["document", "image/png", false],
    ["document", "audio/ogg", false],
  ])("a header of the kind %s takes %j: %j", (kind, type, fits) => expect(fitsKind(kind, type)).toBe(fits));

  it("knows what it cannot fill", () => {
    for (const components of [
      [...plain("x"), { type: "CAROUSEL" }],
      [...plain("x"), { type: "BUTTONS", buttons: [{ type: "MPM" }] }],
      [{ type: "HEADER", format: "HOLOGRAM" }, ...plain("x")],
      [],
      null,
    ]) {
      expect(formOf(template({ components })).beyond).toBe(true);
    }
    expect(formOf(template()).beyond).toBe(false);
  });

  it("says what is wrong with a value", () => {
    const field = (kind: "text" | "image" | "latitude" | "placeName") =>
      ({ key: "k", part: "body", kind, optional: kind === "placeName" }) as const;
    expect(mistakeIn(field("text"), " ")).toBe("required");
    expect(mistakeIn(field("text"), "a\tb")).toBe("spaces");
    expect(mistakeIn(field("text"), "a     b")).toBe("spaces");
    expect(mistakeIn(field("text"), "a    b")).toBeUndefined();
    expect(mistakeIn(field("image"), "http://x.example")).toBe("https");
    expect(mistakeIn(field("image"), "https://x.example/1.jpg")).toBeUndefined();
    expect(mistakeIn(field("latitude"), "north")).toBe("number");
    expect(mistakeIn(field("latitude"), "0")).toBeUndefined();
    expect(mistakeIn(field("placeName"), "")).toBeUndefined();
  });
});

describe("the window for free text", () => {
  const refused = (seq: number) =>
    message(seq, { direction: "OUTBOUND", status: "failed", reason: "window_closed" }) as Message;

  it("CO3 is counted from the last word of the contact, less a minute", () => {
    const i = interaction({ lastInboundAt: t0 });
    expect(windowEnds(i, whatsapp, undefined)).toBe(t0 + 24 * hour - 60_000);
    expect(windowEnds(interaction(), whatsapp, undefined)).toBe(0);
    expect(windowEnds(i, channel, undefined)).toBeUndefined();
    expect(windowEnds(i, undefined, undefined)).toBeUndefined();
  });

  it("CO3 is over when the carrier says so, until the contact writes", () => {
    const i = interaction({ lastInboundAt: t0 });
    expect(windowEnds(i, whatsapp, { items: [message(1), refused(2)], hasMore: false })).toBe(0);
    expect(windowEnds(i, whatsapp, { items: [message(1), refused(2), message(3)], hasMore: false })).toBeGreaterThan(0);
    const other = message(2, { direction: "OUTBOUND", status: "failed", reason: "rejected" });
    expect(windowEnds(i, whatsapp, { items: [message(1), other], hasMore: false })).toBeGreaterThan(0);
  });

  it("CO3 the last hour is said to be", () => {
    expect(timeLeft(23 * hour + 1)).toEqual({ hours: 23, minutes: 1, soon: false });
    expect(timeLeft(hour + 1).soon).toBe(false);
    expect(timeLeft(hour)).toEqual({ hours: 1, minutes: 0, soon: true });
    expect(timeLeft(30_000)).toEqual({ hours: 0, minutes: 1, soon: true });
    expect(timeLeft(-5)).toEqual({ hours: 0, minutes: 0, soon: true });
  });
});

describe("composer with a window", () => {
  const compose = (
    lastInboundAt: number | undefined,
    templates: Template[] = [template()],
    ch = whatsapp,
    person: Contact = contact,
  ) => {
    const i = interaction({ channelType: "WhatsApp", ...(lastInboundAt && { lastInboundAt }) });
    const know = (qc: QueryClient) => {
      qc.setQueryData(keys.templatesOf("a1"), templates);
      qc.setQueryData(keys.contact("c1"), person);
    };
    return show(<Composer interaction={i} />, {}, { on: ch, know });
  };

  beforeEach(() => {
    useDrafts.setState({ drafts: {}, userId: me.id });
    useLive.setState({ pending: [], typing: {}, socket: { state: "open" }, downSince: 0, lastHeardAt: t0 });
  });

  it("CO3 shows what is left, and says when it is little", () => {
    compose(now - hour);
    expect(screen.getByTestId("window").textContent).toBe("22 h 59 min left for free text");
    expect(screen.getByTestId("window").dataset.soon).toBeUndefined();
  });

  it("CO3 the last hour is amber", () => {
    compose(now - 23.5 * hour);
    expect(screen.getByTestId("window").textContent).toBe("29 minutes left for free text");
    expect(screen.getByTestId("window").dataset.soon).toBe("true");
    expect((screen.getByTestId("composer") as HTMLTextAreaElement).disabled).toBe(false);
  });

  it("CO3 at zero a template takes the place of the text, which stays a draft", () => {
    useDrafts.setState({ drafts: { i1: "half a sentence" } });
    compose(now - 24 * hour);
    expect(screen.queryByTestId("composer")).toBeNull();
    expect(screen.getByTestId("composer-window-over").textContent).toContain("half a sentence");
    expect(screen.getByTestId("choose-template").textContent).toBe("Choose a template");
  });

  it("CO3 nothing is offered where there are no templates", () => {
    compose(undefined, [], { ...whatsapp, capabilities: { ...whatsapp.capabilities, templates: false } });
    expect(screen.getByTestId("composer-window-over").textContent).toContain("Wait until they write");
    expect(screen.queryByTestId("choose-template")).toBeNull();
  });

  it("CO4 finds, fills in, previews and sends a template", async () => {
    const user = userEvent.setup();
    const short = [{ type: "BODY", text: "Hello {{1}}, see you on {{2}}." }];
    const { live } = compose(undefined, [
      template({ components: short }),
      template({ id: "t2", name: "miadi", language: "sw", components: plain("Habari") }),
    ]);
    await user.click(screen.getByTestId("choose-template"));
    await waitFor(() => expect(screen.getAllByTestId("template")).toHaveLength(2));
    fireEvent.change(screen.getByTestId("template-language"), { target: { value: "sw" } });
    expect(screen.getAllByTestId("template")).toHaveLength(1);
    fireEvent.change(screen.getByTestId("template-language"), { target: { value: "" } });
    await user.type(screen.getByTestId("template-search"), "see you");
    const [found] = screen.getAllByTestId("template");
    if (!found) throw new Error("nothing found");
    await user.click(found);

    const preview = () => screen.getByTestId("template-preview").textContent;
    expect(preview()).toBe("Hello {{1}}, see you on {{2}}.");
    const [name, day] = screen.getAllByTestId("template-field");
    if (!name || !day) throw new Error("fields are missing");
    await user.type(name, "Maria");
    expect(preview()).toBe("Hello Maria, see you on {{2}}.");
    await user.click(screen.getByTestId("template-send"));
    expect(live.send).not.toHaveBeenCalled();
    expect(document.activeElement).toBe(day);
    expect(screen.getByText("Is required")).toBeTruthy();
    await user.type(day, "Monday");
    await user.click(screen.getByTestId("template-send"));
    expect(live.send).toHaveBeenCalledWith("i1", "Hello Maria, see you on Monday.", {
      template: {
        templateId: "t1",
        components: [
          {
            type: "body",
            parameters: [
              { type: "text", text: "Maria" },
              { type: "text", text: "Monday" },
            ],
          },
        ],
      },
    });
    await waitFor(() => expect(screen.queryByTestId("template-preview")).toBeNull());
  });

  describe("with a file as header", () => {
    const picture = [{ type: "HEADER", format: "IMAGE" }, ...plain("This is the way.")];
    const carrying: Channel = {
      ...whatsapp,
      capabilities: { ...whatsapp.capabilities, mediaTypes: ["image/png", "application/pdf"], maxMediaBytes: 1000 },
    };
    let done: (u: Partial<Uploaded>) => void;
    let fail: (e: Error) => void;
    let share: (n: number) => void;
    let given: AbortSignal | undefined;
    const choose = (name: string, type: string, size = 10) =>
      fireEvent.change(screen.getByTestId("template-attach-input"), {
        target: { files: [new File([new Uint8Array(size)], name, { type })] },
      });
    const attached = () => screen.getByTestId("template-attached");
    const fillIn = async () => {
      const shown = compose(undefined, [template({ components: picture })], carrying);
      await userEvent.click(screen.getByTestId("choose-template"));
      await userEvent.click(await screen.findByTestId("template"));
      return shown;
    };

    beforeEach(() => {
      given = undefined;
      vi.mocked(upload).mockClear();
      URL.createObjectURL = vi.fn(() => "blob:x/1");
      vi.mocked(upload).mockImplementation((file, onShare, signal) => {
        [share, given] = [onShare, signal];
        return new Promise((resolve, reject) => {
          fail = reject;
          done = (u) =>
            resolve({
              id: "f1",
              type: "image",
              contentType: file.type,
              size: file.size,
              name: file.name,
              expiresAt: now + hour,
              ...u,
            });
        });
      });
    });

    it("CO4 uploads one in the place of an address, and sends it once it is there", async () => {
      const { live } = await fillIn();
      expect((screen.getByTestId("template-attach-input") as HTMLInputElement).accept).toBe("image/png");
      choose("map.png", "image/png");
      expect(screen.queryByTestId("template-field")).toBeNull();
      act(() => share(0.5));
      expect(attached().querySelector("progress")?.value).toBe(0.5);
      await userEvent.click(screen.getByTestId("template-send"));
      expect(live.send).not.toHaveBeenCalled();
      await act(async () => done({}));
      expect(attached().textContent).toBe("Image: map.png10 bytes");
      expect(attached().querySelector("img")?.getAttribute("src")).toBe("blob:x/1");
      await userEvent.click(screen.getByTestId("template-send"));
      expect(live.send).toHaveBeenCalledWith("i1", "This is the way.", {
        template: {
          templateId: "t1",
          components: [{ type: "header", parameters: [{ type: "image", fileId: "f1" }] }],
        },
        files: [expect.objectContaining({ id: "f1", name: "map.png", contentType: "image/png" })],
      });
    });

    it("CO4 says why one does not go, and takes another or an address instead", async () => {
      const { live } = await fillIn();
      for (const [name, type, size, why] of [
        ["a.pdf", "application/pdf", 10, "This header takes an image."],
        ["a.gif", "image/gif", 10, "This channel does not carry image/gif."],
        ["a.png", "image/png", 1001, "Too large: on this channel at most 1 kB."],
      ] as const) {
        choose(name, type, size);
        expect(attached().textContent).toContain(why);
      }
      expect(upload).not.toHaveBeenCalled();
      choose("a.png", "image/png");
      await act(async () => done({ type: "document", contentType: "application/pdf" }));
      expect(attached().textContent).toContain("This header takes an image.");
      choose("b.png", "image/png");
      await act(async () => fail(new Error("the connection ended")));
      expect(attached().textContent).toContain("Not uploaded: the connection ended");
      await userEvent.click(screen.getByTestId("template-send"));
      expect(live.send).not.toHaveBeenCalled();

      await userEvent.click(screen.getByTestId("template-detach"));
      const address = screen.getByTestId("template-field");
      await waitFor(() => expect(document.activeElement).toBe(address));
      await userEvent.type(address, "https://x.example/1.png");
      await userEvent.click(screen.getByTestId("template-send"));
      expect(live.send).toHaveBeenCalledWith("i1", "This is the way.", {
        template: {
          templateId: "t1",
          components: [{ type: "header", parameters: [{ type: "image", url: "https://x.example/1.png" }] }],
        },
      });
    });

    it("CO4 gives an upload up when it is removed, or the templates are left", async () => {
      await fillIn();
      choose("a.png", "image/png");
      expect(given?.aborted).toBe(false);
      await userEvent.click(screen.getByTestId("template-detach"));
      expect(given?.aborted).toBe(true);
      choose("b.png", "image/png");
      await userEvent.click(screen.getByTestId("template-back"));
      expect(given?.aborted).toBe(true);
    });
  });

  it("CO4 opens where there are templates alone, and is of one conversation", async () => {
    const i = interaction({ channelType: "WhatsApp", lastInboundAt: now });
    const plainChannel = { ...channel, id: "ch2" };
    let turn: (id: string) => void = () => undefined;
    function Two() {
      const [id, setId] = useState("i2");
      turn = setId;
      return <Composer interaction={id === "i2" ? { ...i, id, channelId: "ch2" } : i} />;
    }
    const know = (qc: QueryClient) => {
      qc.setQueryData(keys.channels, [whatsapp, plainChannel]);
      qc.setQueryData(keys.templatesOf("a1"), [template()]);
    };
    show(<Two />, {}, { know });
    const ask = () => act(() => void actions.dispatchEvent(new Event("templates")));
    ask();
    act(() => turn("i1"));
    expect(screen.queryByTestId("template-search")).toBeNull();
    ask();
    await screen.findByTestId("template-search");
    act(() => turn("i2"));
    await waitFor(() => expect(screen.queryByTestId("template-search")).toBeNull());
  });

  it("CO4 says of each template why it cannot be chosen", async () => {
    const why: [Partial<Template>, string][] = [
      [{ status: "PENDING", usable: false }, "Is being reviewed"],
      [{ status: "REJECTED", usable: false }, "Was rejected"],
      [{ status: "PAUSED", usable: false }, "Is paused: recipients disliked it"],
      [{ status: "LOCKED", usable: false }, "Cannot be sent now"],
      [{ category: "MARKETING" }, "They do not want marketing messages"],
      [{ components: [{ type: "CAROUSEL" }] }, "Cannot be filled in here"],
    ];
    const [first] = contact.identities;
    if (!first) throw new Error("the contact has no address");
    compose(
      undefined,
      why.map(([over], n) => template({ id: `t${n}`, name: `n${n}`, components: plain("x"), ...over })),
      whatsapp,
      { ...contact, identities: [{ ...first, channelType: "WhatsApp", noMarketing: true }] },
    );
    act(() => {
      actions.dispatchEvent(new Event("templates"));
    });
    await waitFor(() => expect(screen.getAllByTestId("template")).toHaveLength(why.length));
    screen.getAllByTestId("template").forEach((el, n) => {
      expect((el as HTMLButtonElement).disabled).toBe(true);
      expect(el.textContent).toContain(why[n]?.[1]);
    });
  });
});

describe("bubble of a template", () => {
  const entry = (m: Message) => ({
    key: m.id,
    message: m,
    at: m.at,
    day: false,
    isNew: false,
    first: true,
    last: true,
  });
  const bubble = (m: Message) => <Bubble entry={entry(m)} contact="Maria" contactId="c1" agent="Mia" receipts={true} />;

  it("TH6 names the template above what its reader sees", () => {
    const payload = {
      type: "template" as const,
      text: "Hello Maria",
      template: { name: "appointment_reminder", language: "en_US" },
    };
    show(bubble(message(1, { direction: "OUTBOUND", status: "sent", payload })));
    expect(screen.getByTestId("message-template").textContent).toBe("Template appointment_reminder");
    expect(screen.getByTestId("message-text").textContent).toBe("Hello Maria");
  });

  it("TH5 offers a template where the time for free text was over", async () => {
    const asked = vi.fn();
    actions.addEventListener("templates", asked);
    show(bubble(message(1, { direction: "OUTBOUND", status: "failed", reason: "window_closed", errorText: "Over." })));
    await userEvent.click(screen.getByText("Send a template"));
    expect(asked).toHaveBeenCalledOnce();
    actions.removeEventListener("templates", asked);
  });
});
