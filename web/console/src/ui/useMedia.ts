import { useMediaQuery } from "@mantine/hooks";

/** Which columns there is room for (section "widths" of the layout: 1280, 1024 and 768 px). */
export function useLayout(): { contactColumn: boolean; rail: boolean; single: boolean } {
  const contactColumn = useMediaQuery("(min-width: 80em)", true, { getInitialValueInEffect: false });
  const rail = useMediaQuery("(min-width: 64em)", true, { getInitialValueInEffect: false });
  const two = useMediaQuery("(min-width: 48em)", true, { getInitialValueInEffect: false });
  return { contactColumn, rail, single: !two };
}
