/** Keys of the live page: one table for the handlers and for the list that is shown. */

/** @typedef {{key: string, label: string, does: string, act: () => void}} Shortcut */

/**
 * @param {Shortcut[]} table
 * @param {() => boolean} enabled single keys can be turned off
 */
export function listen(table, enabled) {
  document.addEventListener('keydown', (event) => {
    if (!enabled() || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const target = /** @type {HTMLElement} */ (event.target);
    if (target.closest('input, select, textarea, [contenteditable]')) return;
    const hit = table.find(({ key }) => key === event.key || (key.length === 1 && key === event.key.toLowerCase()));
    if (!hit) return;
    event.preventDefault();
    hit.act();
  });
}

/** @param {HTMLElement} list a dl @param {Shortcut[]} table */
export function describe(list, table) {
  list.replaceChildren(
    ...table.flatMap(({ label, does }) => {
      const term = document.createElement('dt');
      term.textContent = label;
      const meaning = document.createElement('dd');
      meaning.textContent = does;
      return [term, meaning];
    }),
  );
}
