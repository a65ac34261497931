/** The messages as one stop of the Tab key: arrows move inside, R replies. */

const STEPS = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity };

/** `reply(row)` is called with the message that R was pressed on. */
export function moveWithKeys(list, reply) {
  list.addEventListener("keydown", (event) => {
    const row = event.target.closest(".message");
    if (!row || event.target !== row || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "r" || event.key === "R") reply(row);
    else if (!(event.key in STEPS)) return;
    else focus(list, row, STEPS[event.key]);
    event.preventDefault();
  });
  list.addEventListener("focusin", ({ target }) => {
    const row = target.closest(".message");
    if (row) makeTabStop(list, row);
  });
}

function focus(list, row, step) {
  const rows = [...list.querySelectorAll(".message[tabindex]")];
  const at = Math.min(rows.length - 1, Math.max(0, rows.indexOf(row) + step));
  rows[at].focus();
}

function makeTabStop(list, row) {
  for (const other of list.querySelectorAll('.message[tabindex="0"]')) if (other !== row) other.tabIndex = -1;
  row.tabIndex = 0;
}
