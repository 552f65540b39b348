import { OmniError } from "@omni/shared";
import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Capabilities, Channel, Uploaded } from "../src/api/records";
import { upload } from "../src/api/upload";
import { Bubble } from "../src/inbox/Bubble";
import { Composer } from "../src/inbox/Composer";
import { fits, limits } from "../src/inbox/fits";
import { useFiles } from "../src/live/files";
import { keys } from "../src/live/keys";
import { useLive } from "../src/live/store";
import { useDrafts } from "../src/ui/prefs";
import { channel, interaction, me, show, t0 } from "./make";

vi.mock("../src/api/upload");

const able: Capabilities = {
  ...channel.capabilities,
  mediaTypes: ["image/*", "application/pdf"],
  maxMediaBytes: 5_000_000,
  maxMediaCount: 2,
  captions: true,
  maxCaptionLength: 10,
};

/** Uploads that a test ends. */
let uploads: {
  file: File;
  share: (n: number) => void;
  done: (u?: Partial<Uploaded>) => void;
  fail: (e: Error) => void;
}[];

beforeEach(() => {
  sessionStorage.clear();
  uploads = [];
  URL.createObjectURL = vi.fn(() => `blob:x/${uploads.length}`);
  vi.mocked(upload).mockImplementation(
    (file, share, signal) =>
      new Promise((resolve, reject) => {
        const n = uploads.length + 1;
        const done = (u: Partial<Uploaded> = {}) =>
          resolve({
            id: `f${n}`,
            type: "image",
            contentType: file.type,
            size: file.size,
            name: file.name,
            expiresAt: Date.now() + 60_000,
            ...u,
          });
        uploads.push({ file, share, done, fail: reject });
        signal.addEventListener("abort", () => reject(signal.reason));
      }),
  );
  useDrafts.setState({ drafts: {}, userId: me.id });
  useFiles.setState({ attached: {}, userId: me.id });
  useLive.setState({ pending: [], typing: {}, socket: { state: "open" }, downSince: 0, lastHeardAt: t0 });
});
afterEach(() => vi.restoreAllMocks());

const file = (name: string, type = "image/png", size = 100) => new File([new Uint8Array(size)], name, { type });
const box = () => screen.getByTestId<HTMLTextAreaElement>("composer");
const sendButton = () => screen.getByTestId<HTMLButtonElement>("send");
const list = () => screen.queryAllByTestId("attachment").map((x) => x.textContent);

function compose(c: Partial<Capabilities> = {}) {
  return show(<Composer interaction={interaction()} />, {}, { ...channel, capabilities: { ...able, ...c } });
}

const choose = (...files: File[]) => fireEvent.change(screen.getByTestId("attach-input"), { target: { files } });
const end = async (n: number, u: Partial<Uploaded> = {}) => act(async () => uploads[n]?.done(u));

describe("CO6 limits", () => {
  it.each<[string, Partial<Capabilities>, [string, number][], (RegExp | undefined)[]]>([
    ["no files", { mediaTypes: null }, [["image/png", 1]], [/carries no files/]],
    [
      "a type",
      {},
      [
        ["image/png", 1],
        ["video/mp4", 1],
      ],
      [undefined, /does not carry video\/mp4/],
    ],
    ["a type with parameters", {}, [["image/png;x=1", 1]], [undefined]],
    ["an unknown type", {}, [["", 1]], [undefined]],
    ["all types", { mediaTypes: ["*/*"] }, [["a/b", 1]], [undefined]],
    ["a size", {}, [["image/png", 5_000_001]], [/at most 5 MB/]],
    ["no size", { maxMediaBytes: 0 }, [["image/png", 50_000_001]], [undefined]],
    ["nothing", {}, [["image/png", 0]], [/is empty/]],
    [
      "a limit of a kind",
      {
        mediaLimits: [
          { types: ["image/*"], maxBytes: 10 },
          { types: ["image/png"], maxBytes: 20 },
          { types: ["image/*"], maxBytes: 10 },
        ],
      },
      [
        ["image/png", 20],
        ["image/jpeg", 11],
      ],
      [undefined, /at most 10 byte/],
    ],
    [
      "a count",
      {},
      [
        ["image/png", 1],
        ["video/mp4", 1],
        ["image/png", 1],
        ["image/png", 1],
      ],
      [undefined, /carry/, undefined, /Only 2 files/],
    ],
    [
      "a total",
      { totalMediaBytes: 10 },
      [
        ["image/png", 6],
        ["image/png", 6],
        ["image/png", 4],
      ],
      [undefined, /at most 10 byte/, undefined],
    ],
  ])("%s", (_, c, files, want) => {
    const got = fits(
      files.map(([contentType, size]) => ({ contentType, size })),
      { ...able, ...c },
    );
    expect(got).toHaveLength(want.length);
    got.forEach((text, n) => {
      if (want[n]) expect(text).toMatch(want[n]);
      else expect(text).toBeUndefined();
    });
  });

  it("tells them before anything is chosen", () => {
    expect(limits(able)).toBe("Image, PDF · at most 5 MB each · up to 2 files");
    compose();
    const button = screen.getByRole("button", { name: "Attach files" });
    const hint = document.getElementById(button.getAttribute("aria-describedby") ?? "");
    expect(hint?.textContent).toContain("at most 5 MB each");
    expect(screen.getByTestId("attach-input").getAttribute("accept")).toBe("image/*,application/pdf");
  });

  it("has no button where nothing can be attached", () => {
    compose({ mediaTypes: null });
    expect(screen.queryByTestId("attach")).toBeNull();
  });
});

describe("CO6 attachments", () => {
  it("uploads with progress, and sends when all is there", async () => {
    const { live } = compose();
    choose(file("a.png"), file("b.pdf", "application/pdf"));
    expect(uploads.map((u) => u.file.name)).toEqual(["a.png", "b.pdf"]);
    expect(sendButton().disabled).toBe(true);
    act(() => uploads[0]?.share(0.5));
    expect(screen.getAllByRole("progressbar")[0]?.getAttribute("value")).toBe("0.5");
    expect(screen.getByLabelText("a.png is being uploaded")).toBeTruthy();
    expect(useLive.getState().announcement.text).toBe("2 files attached");
    await end(0);
    await userEvent.type(box(), "look{Enter}");
    expect(live.send).not.toHaveBeenCalled();
    await end(1, { type: "document" });
    await userEvent.click(sendButton());
    expect(live.send).toHaveBeenCalledTimes(1);
    expect(live.send).toHaveBeenCalledWith("i1", "look", [
      expect.objectContaining({ id: "f1", name: "a.png" }),
      expect.objectContaining({ id: "f2", type: "document" }),
    ]);
    expect(list()).toEqual([]);
    expect(box().value).toBe("");
  });

  it("sends files without words, and words apart where they cannot stand beside files", async () => {
    const { live } = compose({ captions: false });
    choose(file("a.png"));
    await end(0);
    await userEvent.click(sendButton());
    expect(live.send).toHaveBeenLastCalledWith("i1", "", [expect.objectContaining({ id: "f1" })]);
    choose(file("b.png"));
    await end(1);
    await userEvent.type(box(), "words{Enter}");
    expect(vi.mocked(live.send).mock.calls.slice(1)).toEqual([
      ["i1", "", [expect.objectContaining({ id: "f2" })]],
      ["i1", "words"],
    ]);
  });

  it("counts a text beside files by what the channel takes there", async () => {
    compose();
    await userEvent.type(box(), "12345678901");
    expect(sendButton().disabled).toBe(false);
    choose(file("a.png"));
    await end(0);
    expect(screen.getByText("1 character too many for this channel")).toBeTruthy();
    expect(sendButton().disabled).toBe(true);
  });

  it("marks what does not fit, and uploads it once it does", async () => {
    const { qc } = compose();
    choose(file("a.png"), file("b.mp4", "video/mp4"), file("c.png"), file("d.png"));
    expect(uploads.map((u) => u.file.name)).toEqual(["a.png", "c.png"]);
    expect(screen.getAllByRole("alert").map((x) => x.textContent)).toEqual([
      "This channel does not carry video/mp4.",
      "Only 2 files go into a message here.",
    ]);
    await userEvent.click(screen.getByRole("button", { name: "Cancel the upload of a.png" }));
    expect(uploads.map((u) => u.file.name)).toEqual(["a.png", "c.png", "d.png"]);
    await end(1);
    await end(2);
    expect(sendButton().disabled).toBe(true);
    await userEvent.click(screen.getByRole("button", { name: "Remove b.mp4" }));
    expect(sendButton().disabled).toBe(false);
    expect(document.activeElement).toBe(box());
    qc.setQueryData<Channel[]>(keys.channels, [{ ...channel, capabilities: { ...able, maxMediaBytes: 10 } }]);
    await waitFor(() => expect(screen.getAllByRole("alert")).toHaveLength(2));
    expect(list()).toHaveLength(2);
  });

  it("says why an upload failed, and tries again only if that can help", async () => {
    compose();
    choose(file("a.png"), file("b.png"));
    await act(async () => uploads[0]?.fail(new OmniError({ code: "offline", message: "No connection." })));
    await act(async () => uploads[1]?.fail(new OmniError({ code: "invalid", message: "The picture is damaged." })));
    expect(list()).toEqual([
      expect.stringContaining("Not uploaded: No connection."),
      expect.stringContaining("Not uploaded: The picture is damaged."),
    ]);
    expect(screen.queryByRole("button", { name: "Upload b.png again" })).toBeNull();
    await userEvent.click(screen.getByRole("button", { name: "Upload a.png again" }));
    expect(uploads[2]?.file.name).toBe("a.png");
    await end(2);
    expect(screen.queryByText(/No connection/)).toBeNull();
  });

  it("takes what is pasted, unless there is text with it", () => {
    compose();
    const paste = (types: string[]) => fireEvent.paste(box(), { clipboardData: { files: [file("shot.png")], types } });
    paste(["Files", "text/plain"]);
    expect(list()).toEqual([]);
    paste(["Files"]);
    expect(list()).toEqual([expect.stringContaining("shot.png")]);
  });

  it("takes what is dropped on the conversation, and says where it would land", () => {
    show(
      <main>
        <Composer interaction={interaction()} />
      </main>,
      {},
      { ...channel, capabilities: able },
    );
    const main = screen.getByRole("main");
    const dataTransfer = { types: ["Files"], files: [file("a.png")] };
    fireEvent.dragOver(main, { dataTransfer });
    expect(main.dataset.drop).toBe("Drop files to attach them");
    fireEvent.drop(main, { dataTransfer });
    expect(main.dataset.drop).toBeUndefined();
    expect(list()).toEqual([expect.stringContaining("a.png")]);
    fireEvent.dragOver(main, { dataTransfer: { types: ["text/plain"], files: [] } });
    expect(main.dataset.drop).toBeUndefined();
  });

  it("AX6 puts files in order by keys", async () => {
    compose();
    choose(file("a.png"), file("b.png"));
    await userEvent.click(screen.getByRole("button", { name: "Send b.png earlier" }));
    expect(list().map((x) => x?.slice(0, 5))).toEqual(["b.png", "a.png"]);
    expect(screen.queryByRole("button", { name: "Send b.png earlier" })).toBeNull();
  });

  it("keeps what is uploaded over a reload, for the same user, while the server has it", async () => {
    compose();
    choose(file("a.png"), file("b.png"));
    await end(0);
    useFiles.setState({ attached: {}, userId: "" });
    act(() => useFiles.getState().load("u-other"));
    expect(list()).toEqual([]);
    act(() => useFiles.getState().load(me.id));
    expect(list()).toEqual([expect.stringContaining("a.png")]);
    vi.spyOn(Date, "now").mockReturnValue(Date.now() + 120_000);
    useFiles.setState({ attached: {}, userId: "" });
    act(() => useFiles.getState().load(me.id));
    expect(list()).toEqual([]);
  });
});

describe("a message with files that waits", () => {
  const pending = (error?: OmniError) => ({
    clientId: "p1",
    interactionId: "i1",
    text: "",
    at: t0,
    files: [
      {
        id: "f1",
        type: "document" as const,
        contentType: "application/pdf",
        size: 12_000,
        name: "a.pdf",
        expiresAt: t0,
      },
    ],
    ...(error && { error }),
  });
  const bubble = (error?: OmniError) => (
    <Bubble
      entry={{ key: "k", at: t0, day: false, isNew: false, first: true, last: true, pending: pending(error) }}
      contact="Maria Rossi"
      contactId="c1"
      agent="Ana Novak"
      receipts
    />
  );

  it("TH6 shows them at once", () => {
    show(bubble());
    expect(screen.getByTestId("file-card").textContent).toContain("a.pdf");
  });

  it("TH5 gives them back for editing", async () => {
    show(bubble(new OmniError({ code: "invalid", message: "why" })), { discard: vi.fn() });
    await userEvent.click(screen.getByText("Edit"));
    await waitFor(() => expect(useFiles.getState().attached.i1?.map((f) => f.done?.id)).toEqual(["f1"]));
  });
});
