import { useEffect, useState } from "react";

/** True once `on` has been true for a while: skeletons for what takes a blink would only flicker (ST1). */
export function useDelayed(on: boolean, ms = 200): boolean {
  const [passed, setPassed] = useState(false);
  useEffect(() => {
    if (!on) {
      setPassed(false);
      return;
    }
    const timer = setTimeout(() => setPassed(true), ms);
    return () => clearTimeout(timer);
  }, [on, ms]);
  return on && passed;
}
