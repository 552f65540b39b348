/** Says at most every 3 s that somebody types, and that they stopped: on send, on blur, or after 6 s idle (RT8). */
export class TypingReporter {
  static readonly everyMs = 3000;
  static readonly idleMs = 6000;
  private readonly send: (stop: boolean) => void;
  private lastSent = Number.NEGATIVE_INFINITY;
  private active = false;
  private idle: ReturnType<typeof setTimeout> | undefined;

  constructor(send: (stop: boolean) => void) {
    this.send = send;
  }

  typed(): void {
    clearTimeout(this.idle);
    this.idle = setTimeout(() => this.stop(), TypingReporter.idleMs);
    const now = Date.now();
    if (this.active && now - this.lastSent < TypingReporter.everyMs) return;
    this.active = true;
    this.lastSent = now;
    this.send(false);
  }

  stop(): void {
    clearTimeout(this.idle);
    if (!this.active) return;
    this.active = false;
    this.send(true);
  }
}

/** How long typing is shown without renewal, whatever `until` says (RT8). */
export const typingShownMs = 8000;
