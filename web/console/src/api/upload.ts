import { isCode, OmniError } from "@omni/shared";
import { problem } from "./http";
import type { Uploaded } from "./records";
import { accessToken, refresh } from "./session";

/** As long as the server waits for a file, and a little more. */
const timeoutMs = 200_000;

/**
 * Uploads a file as the user who is logged in, and tells how much of it has gone, from 0 to 1: fetch cannot.
 * Throws an OmniError, or what the signal was aborted with.
 */
export async function upload(file: File, onShare: (share: number) => void, signal: AbortSignal): Promise<Uploaded> {
  try {
    return await once(file, onShare, signal, await accessToken());
  } catch (e) {
    if (!isCode(e, "unauthenticated") || !(await refresh())) throw e;
    return once(file, onShare, signal, await accessToken());
  }
}

function once(file: File, onShare: (share: number) => void, signal: AbortSignal, token: string): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const xhr = new XMLHttpRequest();
    const giveUp = () => xhr.abort();
    const noAnswer = (code: "offline" | "timeout") => () =>
      reject(new OmniError({ code, message: "The server could not be reached." }));
    xhr.open("POST", "/api/v1/media");
    xhr.setRequestHeader("Authorization", `Bearer ${token}`);
    xhr.timeout = timeoutMs;
    xhr.upload.onprogress = (e) => e.lengthComputable && onShare(e.loaded / e.total);
    xhr.onerror = noAnswer("offline");
    xhr.ontimeout = noAnswer("timeout");
    xhr.onabort = () => reject(signal.reason);
    xhr.onload = () => {
      const { status } = xhr;
      const headers = new Headers();
      for (const name of ["Retry-After", "X-Request-Id"]) {
        const value = xhr.getResponseHeader(name);
        if (value) headers.set(name, value);
      }
      const answer = new Response(xhr.responseText, { status, headers });
      if (answer.ok) resolve(answer.json() as Promise<Uploaded>);
      else problem(answer).then(reject);
    };
    xhr.onloadend = () => signal.removeEventListener("abort", giveUp);
    signal.addEventListener("abort", giveUp);
    const form = new FormData();
    form.append("file", file);
    xhr.send(form);
  });
}
