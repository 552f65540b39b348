import { useEffect } from "react";
import { matchPath, useLocation, useNavigate } from "react-router";
import { tinykeys } from "tinykeys";
import type { View } from "../api/records";
import { useUi } from "../ui/prefs";
import { shownOrder } from "./ConversationList";

const cycle = "F6";
const leave = "Escape";

/** Asks the open conversation to do what a key stands for. */
export type ConversationAction = "resolve" | "claim" | "templates";
export const actions = new EventTarget();

function typing(e: KeyboardEvent): boolean {
  const el = e.target instanceof HTMLElement ? e.target : undefined;
  return Boolean(el?.isContentEditable || el?.closest("input, textarea, select"));
}

/** The layer on top has the keys. */
const layered = () => document.querySelector("[role=dialog], [role=menu], [role=listbox]") !== null;

function focusOn(selector: string): boolean {
  const el = document.querySelector<HTMLElement>(selector);
  el?.focus();
  return el !== null;
}

const focusRow = () => focusOn('#list a[data-row][tabindex="0"]') || focusOn("#list");

/** Where `view` and an open conversation stand in the address. */
export const inboxPath = "/inbox/:view/:conversationId?";

/** What the address says now: it changes with the key press, what is drawn some time later. */
const openNow = () => matchPath(inboxPath, window.location.pathname)?.params.conversationId ?? "";

export function useKeys(view: View, contactColumn: boolean): void {
  const navigate = useNavigate();
  const { search } = useLocation();
  useEffect(() => {
    const plain = (run: (e: KeyboardEvent) => void) => (e: KeyboardEvent) => {
      if (typing(e) || layered() || e.isComposing) return;
      e.preventDefault();
      run(e);
    };
    const ask = (name: ConversationAction) => plain(() => actions.dispatchEvent(new Event(name)));
    const step = (by: number) => () => {
      const order = shownOrder.current;
      const focused = document.activeElement?.getAttribute("data-row") ?? "";
      const open = order.indexOf(openNow());
      const at = open >= 0 ? open : order.indexOf(focused);
      const to = order[at < 0 ? 0 : at + by];
      if (to) navigate({ pathname: `/inbox/${view}/${to}`, search });
    };
    const columns = () => {
      const stops = ["#list a[data-row][tabindex='0'], #list", "#thread", "#composer", "#contact"]
        .map((selector) => document.querySelector<HTMLElement>(selector))
        .filter((el) => el !== null);
      const now = stops.findIndex((el) => el === document.activeElement || el.contains(document.activeElement));
      stops[(now + 1) % stops.length]?.focus();
    };
    const bindings: Record<string, (e: KeyboardEvent) => void> = {
      // Before its last key, which has a meaning of its own: the first match counts.
      "g i": plain(() => navigate("/inbox/mine")),
      j: plain(step(1)),
      k: plain(step(-1)),
      o: plain(() => {
        const id = document.activeElement?.getAttribute("data-row");
        if (id) navigate({ pathname: `/inbox/${view}/${id}`, search });
        else focusOn("#thread");
      }),
      u: plain(() => {
        if (window.matchMedia("(max-width: 47.99em)").matches) navigate({ pathname: `/inbox/${view}`, search });
        else focusRow();
      }),
      r: plain(() => focusOn("#composer")),
      e: ask("resolve"),
      "Shift+A": ask("claim"),
      v: ask("templates"),
      i: plain(() => {
        if (contactColumn) focusOn("#contact");
        else useUi.getState().setContactOpen(!useUi.getState().contactOpen);
      }),
      "[Shift]+?": plain(() => useUi.getState().setHelpOpen(true)),
      [cycle]: (e) => {
        e.preventDefault();
        columns();
      },
      [leave]: (e) => {
        if (layered() || e.defaultPrevented || e.isComposing) return;
        if (typing(e)) focusOn("#thread");
        else focusRow();
      },
    };
    // Text fields are left to us: Escape and F6 have to work in them.
    return tinykeys(window, bindings, { ignore: (e) => e.isComposing });
  }, [navigate, view, contactColumn, search]);
}
