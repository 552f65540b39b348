/**
 * The order to show rows in. Not held: that of the list. Held (the pointer is over it, or a row has focus): rows stay
 * where they are, gone ones go, and new ones wait to be let in (CL3).
 */
export function held(shown: readonly string[], actual: readonly string[]): { order: string[]; waiting: number } {
  const now = new Set(actual);
  const order = shown.filter((id) => now.has(id));
  const known = new Set(order);
  // What comes after the last shown row is another page, not something new.
  const lastShown = Math.max(...order.map((id) => actual.indexOf(id)), -1);
  let waiting = 0;
  actual.forEach((id, at) => {
    if (known.has(id)) return;
    if (at > lastShown) order.push(id);
    else waiting++;
  });
  return { order, waiting };
}
