import type { ToHost, ToPanel } from "../bridge";

type Body<M> = M extends { omni: 1 } ? Omit<M, "omni"> : never;

/** The page around the frame. */
export interface Host {
  tell(m: Body<ToHost>): void;
  /** There is a page around us; else the panel was opened by its own address. */
  framed: boolean;
}

/**
 * Talks with the loader. origin is what the loader says the page's origin is: it is believed only as far as the browser
 * delivers to it, and where the browser names the frame's ancestor, the two have to agree.
 */
export function joinHost(origin: string, hear: (m: ToPanel) => void, win: Window = window): Host {
  const parent = win.parent;
  if (parent === win) return { framed: false, tell: () => {} };
  const ancestor = win.location.ancestorOrigins?.[0];
  if (!/^https?:\/\//.test(origin) || (ancestor && ancestor !== origin)) return { framed: true, tell: () => {} };
  win.addEventListener("message", (e) => {
    const m = e.data as ToPanel | undefined;
    if (e.source === parent && e.origin === origin && m?.omni === 1) hear(m);
  });
  return { framed: true, tell: (m) => parent.postMessage({ omni: 1, ...m }, origin) };
}
