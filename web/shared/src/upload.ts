import { OmniError } from "./error";

/** As long as the server waits for a file, and a little more. */
const timeoutMs = 200_000;

/**
 * Posts a file as a form, and tells how much of it has gone, from 0 to 1: fetch cannot. Gives the server's answer, whatever it
 * is; where none came it throws an OmniError, and what the signal was aborted with.
 */
export function postFile(
  url: string,
  token: string,
  file: File,
  onShare: (share: number) => void,
  signal: AbortSignal,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const xhr = new XMLHttpRequest();
    const giveUp = () => xhr.abort();
    const noAnswer = (code: "offline" | "timeout") => () =>
      reject(new OmniError({ code, message: "The server could not be reached." }));
    xhr.open("POST", url);
    xhr.setRequestHeader("Authorization", `Bearer ${token}`);
    xhr.timeout = timeoutMs;
    xhr.upload.onprogress = (e) => e.lengthComputable && onShare(e.loaded / e.total);
    xhr.onerror = noAnswer("offline");
    xhr.ontimeout = noAnswer("timeout");
    xhr.onabort = () => reject(signal.reason);
    xhr.onload = () => {
      const headers = new Headers();
      for (const name of ["Retry-After", "X-Request-Id"]) {
        const value = xhr.getResponseHeader(name);
        if (value) headers.set(name, value);
      }
      resolve(new Response(xhr.responseText, { status: xhr.status, headers }));
    };
    xhr.onloadend = () => signal.removeEventListener("abort", giveUp);
    signal.addEventListener("abort", giveUp);
    const form = new FormData();
    form.append("file", file);
    xhr.send(form);
  });
}
