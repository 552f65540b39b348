import { useLive } from "../live/store";

/** The one live region of the console: only what is really new goes in here (AX3). */
export function Announcer() {
  const { text, n } = useLive((s) => s.announcement);
  return (
    <div className="sr-only" role="status" aria-live="polite" data-testid="announcer">
      {/* Another space makes the same text a change. */}
      {n % 2 ? `${text} ` : text}
    </div>
  );
}
