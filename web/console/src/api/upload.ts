import { isCode, postFile } from "@omni/shared";
import { problem } from "./http";
import type { Uploaded } from "./records";
import { accessToken, refresh } from "./session";

/** Uploads a file as the user who is logged in. Throws an OmniError, or what the signal was aborted with. */
export async function upload(file: File, onShare: (share: number) => void, signal: AbortSignal): Promise<Uploaded> {
  const once = async () => {
    const answer = await postFile("/api/v1/media", await accessToken(), file, onShare, signal);
    if (!answer.ok) throw await problem(answer);
    return (await answer.json()) as Uploaded;
  };
  try {
    return await once();
  } catch (e) {
    if (!isCode(e, "unauthenticated") || !(await refresh())) throw e;
    return once();
  }
}
