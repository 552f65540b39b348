import { isCode, OmniError } from "@omni/shared";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { accessToken, refresh } from "../src/api/session";
import { upload } from "../src/api/upload";

vi.mock("../src/api/session");

/** A request that a test answers. */
class FakeXHR {
  static made: FakeXHR[] = [];
  upload: { onprogress?: (e: { lengthComputable: boolean; loaded: number; total: number }) => void } = {};
  status = 0;
  responseText = "";
  headers: Record<string, string> = {};
  sent: FormData | undefined;
  opened: string[] = [];
  answerHeaders: Record<string, string> = {};
  timeout = 0;
  onload?: () => void;
  onerror?: () => void;
  ontimeout?: () => void;
  onabort?: () => void;
  onloadend?: () => void;
  constructor() {
    FakeXHR.made.push(this);
  }
  open(...a: string[]) {
    this.opened = a;
  }
  setRequestHeader(name: string, value: string) {
    this.headers[name] = value;
  }
  getResponseHeader(name: string) {
    return this.answerHeaders[name] ?? null;
  }
  send(form: FormData) {
    this.sent = form;
  }
  abort() {
    this.onabort?.();
    this.onloadend?.();
  }
  answer(status: number, body: unknown, headers: Record<string, string> = {}) {
    Object.assign(this, { status, responseText: JSON.stringify(body), answerHeaders: headers });
    this.onload?.();
    this.onloadend?.();
  }
}

const file = new File(["x"], "a.png", { type: "image/png" });
const request = async (n = 0) => {
  await vi.waitFor(() => expect(FakeXHR.made[n]?.sent).toBeTruthy());
  return FakeXHR.made[n] as FakeXHR;
};

beforeEach(() => {
  FakeXHR.made = [];
  vi.stubGlobal("XMLHttpRequest", FakeXHR);
  vi.mocked(accessToken).mockResolvedValueOnce("one").mockResolvedValueOnce("two");
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetAllMocks();
});

describe("upload", () => {
  it("sends the file as its user and tells how far it is", async () => {
    const share = vi.fn();
    const answer = upload(file, share, new AbortController().signal);
    const xhr = await request();
    expect(xhr.opened).toEqual(["POST", "/api/v1/media"]);
    expect(xhr.headers.Authorization).toBe("Bearer one");
    expect(xhr.sent?.get("file")).toMatchObject({ name: "a.png" });
    xhr.upload.onprogress?.({ lengthComputable: false, loaded: 1, total: 0 });
    xhr.upload.onprogress?.({ lengthComputable: true, loaded: 1, total: 4 });
    expect(share.mock.calls).toEqual([[0.25]]);
    xhr.answer(201, { id: "f1" });
    expect(await answer).toEqual({ id: "f1" });
  });

  it("renews the session once", async () => {
    vi.mocked(refresh).mockResolvedValue(true);
    const answer = upload(file, vi.fn(), new AbortController().signal);
    (await request()).answer(401, { code: "unauthenticated" });
    const again = await request(1);
    expect(again.headers.Authorization).toBe("Bearer two");
    again.answer(201, { id: "f1" });
    expect(await answer).toEqual({ id: "f1" });
  });

  it("says why the server refused, and when it may be asked again", async () => {
    const answer = upload(file, vi.fn(), new AbortController().signal).catch((e: unknown) => e);
    (await request()).answer(429, { code: "rate_limited", detail: "Wait." }, { "Retry-After": "7" });
    const e = await answer;
    expect(e).toBeInstanceOf(OmniError);
    expect(e).toMatchObject({ code: "rate_limited", message: "Wait.", retryAfterMs: 7000 });
  });

  it.each(["onerror", "ontimeout"] as const)("says that there was no answer: %s", async (how) => {
    const answer = upload(file, vi.fn(), new AbortController().signal).catch((e: unknown) => e);
    (await request())[how]?.();
    expect(isCode(await answer, how === "onerror" ? "offline" : "timeout")).toBe(true);
  });

  it("is given up", async () => {
    const giveUp = new AbortController();
    const answer = upload(file, vi.fn(), giveUp.signal).catch((e: unknown) => e);
    await request();
    giveUp.abort("enough");
    expect(await answer).toBe("enough");
    const late = upload(file, vi.fn(), giveUp.signal).catch((e: unknown) => e);
    expect(await late).toBe("enough");
  });
});
