import type { Interaction } from "@omni/shared";
import { useCallback, useEffect, useRef } from "react";

const seenMs = 1000;

/**
 * Reports how far a thread was read: an inbound message counts when at least half of it, or half of the view, showed
 * for 1 s while the tab was visible (TH11). Returns what to call with each message's element.
 */
export function useReadMarks(
  root: HTMLElement | null,
  interaction: Interaction,
  report: (seq: number) => void,
): (el: HTMLElement | null, seq: number) => (() => void) | undefined {
  const state = useRef({ report, read: interaction.agentReadSeq });
  state.current.report = report;
  state.current.read = Math.max(state.current.read, interaction.agentReadSeq);
  const observer = useRef<IntersectionObserver | undefined>(undefined);
  const waiting = useRef(new Map<Element, number>());

  useEffect(() => {
    if (!root || typeof IntersectionObserver === "undefined") return;
    const timers = new Map<Element, ReturnType<typeof setTimeout>>();
    const inView = new Set<Element>();
    const stop = (el: Element) => {
      clearTimeout(timers.get(el));
      timers.delete(el);
    };
    const begin = (el: Element) => {
      const seq = waiting.current.get(el);
      if (timers.has(el) || document.visibilityState !== "visible" || seq === undefined) return;
      timers.set(
        el,
        setTimeout(() => {
          timers.delete(el);
          if (seq <= state.current.read) return;
          state.current.read = seq;
          state.current.report(seq);
        }, seenMs),
      );
    };
    const o = new IntersectionObserver(
      (all) => {
        for (const e of all) {
          const half = e.intersectionRatio >= 0.5 || e.intersectionRect.height >= (e.rootBounds?.height ?? 0) / 2;
          if (e.isIntersecting && half) {
            inView.add(e.target);
            begin(e.target);
          } else {
            inView.delete(e.target);
            stop(e.target);
          }
        }
      },
      { root, threshold: [0, 0.25, 0.5, 0.75, 1] },
    );
    const onVisible = () => {
      for (const el of inView) {
        if (document.visibilityState === "visible") begin(el);
        else stop(el);
      }
    };
    document.addEventListener("visibilitychange", onVisible);
    observer.current = o;
    for (const el of waiting.current.keys()) o.observe(el);
    return () => {
      observer.current = undefined;
      o.disconnect();
      document.removeEventListener("visibilitychange", onVisible);
      for (const el of timers.keys()) stop(el);
    };
  }, [root]);

  return useCallback((el, seq) => {
    if (!el || seq <= state.current.read) return undefined;
    waiting.current.set(el, seq);
    observer.current?.observe(el);
    return () => {
      waiting.current.delete(el);
      observer.current?.unobserve(el);
    };
  }, []);
}
