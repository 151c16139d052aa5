// Lists whose rows are reached with the arrow keys, the list itself with Tab.

/**
 * Let the arrow keys, Home and End move among the rows of a list.
 *
 * `rows` returns them in their order; `onReach(row)` is called when one is reached by keyboard or
 * pointer, `onLeave()` when none is any more, and `onChoose(row)` for a click, Enter or Space.
 */
export function rove(list, rows, { onReach, onLeave, onChoose }) {
  const rowOf = (target) => rows().find((row) => row.contains(target));
  const open = (row) => {
    for (const other of rows()) other.tabIndex = other === row ? 0 : -1;
  };
  list.addEventListener("keydown", (event) => {
    const all = rows();
    const at = all.indexOf(rowOf(event.target));
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1 };
    const next = { ...steps, Home: 0, End: all.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      all[Math.max(0, Math.min(next, all.length - 1))].focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      onChoose(all[at]);
    }
  });
  list.addEventListener("focusin", (event) => {
    const row = rowOf(event.target);
    if (row === undefined) return;
    open(row);
    if (row.matches(":focus-visible")) onReach(row);
  });
  list.addEventListener("focusout", () => onLeave());
  list.addEventListener("pointerover", (event) => {
    const row = rowOf(event.target);
    if (row !== undefined && event.pointerType !== "touch") onReach(row);
  });
  list.addEventListener("pointerleave", () => onLeave());
  list.addEventListener("click", (event) => {
    const row = rowOf(event.target);
    if (row !== undefined) onChoose(row);
  });
}
