import { t } from "../i18n";
import { defaultWidths, limits, useUi, type Widths } from "./prefs";
import s from "./ui.module.css";

/** The border of a column: dragged, or moved by arrow keys in steps of 16 px; double-click or Home puts it back (AX6). */
export function Resizer({ column, side }: { column: keyof Widths; side: "start" | "end" }) {
  const width = useUi((u) => u.widths[column]);
  const setWidth = useUi((u) => u.setWidth);
  const [min, max] = limits[column];
  const grow = side === "end" ? 1 : -1;

  const drag = (down: React.PointerEvent<HTMLDivElement>) => {
    const handle = down.currentTarget;
    handle.setPointerCapture(down.pointerId);
    const move = (e: PointerEvent) => setWidth(column, width + grow * (e.clientX - down.clientX));
    handle.addEventListener("pointermove", move);
    handle.addEventListener("lostpointercapture", () => handle.removeEventListener("pointermove", move), {
      once: true,
    });
  };
  const key = (e: React.KeyboardEvent) => {
    const step = { ArrowLeft: -16, ArrowRight: 16 }[e.key];
    if (step) setWidth(column, width + grow * step);
    else if (e.key === "Home") setWidth(column, defaultWidths[column]);
    else return;
    e.preventDefault();
  };
  return (
    // biome-ignore lint/a11y/useSemanticElements: hr cannot be moved
    <div
      className={s.resizer}
      data-side={side}
      role="separator"
      tabIndex={0}
      aria-orientation="vertical"
      aria-label={t(column === "list" ? "columns.resizeList" : "columns.resizeContact")}
      aria-valuenow={width}
      aria-valuemin={min}
      aria-valuemax={max}
      onPointerDown={drag}
      onKeyDown={key}
      onDoubleClick={() => setWidth(column, defaultWidths[column])}
    />
  );
}
