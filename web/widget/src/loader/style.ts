/**
 * The launcher's style. The host's page may say `* { display: none !important }`: of two important declarations the
 * one inside the shadow tree wins, so what has to hold stands here with !important on :host.
 */
export function launcherCSS(o: { side: "left" | "right"; x: number; y: number; zIndex: number }): string {
  return `
:host{all:initial!important;display:block!important;position:fixed!important;inset:auto!important;width:0!important;height:0!important;z-index:${o.zIndex}!important}
@media print{:host{display:none!important}}
*{box-sizing:border-box}
[hidden]{display:none!important}
.b{position:fixed;bottom:calc(${o.y}px + env(safe-area-inset-bottom,0px));${o.side}:calc(${o.x}px + env(safe-area-inset-${o.side},0px));display:flex;align-items:center;justify-content:center;gap:8px;min-width:56px;height:56px;padding:0 15px;border:1px solid rgba(255,255,255,.35);border-radius:28px;background:var(--a);color:var(--t);font:600 15px/1 system-ui,sans-serif;cursor:pointer;box-shadow:0 1px 3px rgba(0,0,0,.3),0 6px 20px rgba(0,0,0,.22);-webkit-tap-highlight-color:transparent}
.b:focus-visible{outline:2px solid #fff;outline-offset:0;box-shadow:0 0 0 5px #111}
svg{display:block;width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
.n{position:absolute;top:-4px;${o.side === "left" ? "right" : "left"}:-4px;min-width:22px;height:22px;padding:0 6px;border:1px solid #fff;border-radius:11px;background:#c21f1f;color:#fff;font:600 12px/20px system-ui,sans-serif;text-align:center}
.p{position:fixed;bottom:calc(${o.y + 68}px + env(safe-area-inset-bottom,0px));${o.side}:calc(${o.x}px + env(safe-area-inset-${o.side},0px));width:min(384px,calc(100vw - ${2 * o.x}px));height:min(640px,calc(100dvh - ${o.y + 84}px));border-radius:16px;overflow:hidden;background:var(--p);box-shadow:0 0 0 1px rgba(128,128,128,.35),0 12px 48px rgba(0,0,0,.28)}
iframe{display:block;width:100%;height:100%;border:0;color-scheme:light dark}
.f .p{inset:var(--y,0px) 0 auto;width:100%;height:var(--h,100dvh);border-radius:0;box-shadow:none}
.f.r .b{display:none}
@media(prefers-reduced-motion:no-preference){.p{animation:o .16s ease-out}@keyframes o{from{opacity:0;transform:translateY(12px)}}.b{transition:transform .12s}.b:hover{transform:scale(1.04)}}
@media(forced-colors:active){.b{border:2px solid ButtonText;background:ButtonFace;color:ButtonText}.b:focus-visible{outline:3px solid Highlight;outline-offset:2px}.p{border:1px solid CanvasText}}
`;
}
