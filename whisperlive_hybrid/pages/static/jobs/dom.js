/** Elements made and changed. Text goes in as text nodes only. */

export const $ = (id) => document.getElementById(id);

/**
 * @param {string} tag @param {Record<string, unknown>} properties names with a dash are attributes
 * @param {...(Node | string | null | false)} children
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'role' || name.includes('-')) element.setAttribute(name, String(value));
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== false));
  return element;
}

/** @param {string} text @param {() => void} act @param {Record<string, unknown>} more */
export const button = (text, act, more = {}) => make('button', { type: 'button', textContent: text, onclick: act, ...more });

/** Set the text if it is another: what stands still is not read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Pieces of text, matches in <mark>. @param {{text: string, match: boolean}[]} pieces */
export const withMarks = (pieces) => pieces.map(({ text, match }) => (match ? make('mark', { textContent: text }) : text));

/**
 * Ask before something is lost. @param {{title: string, text: string, yes: string, choice?: string}} what
 * @returns {Promise<{choice: boolean} | null>} null for no
 */
export function confirmed({ title, text, yes, choice = '' }) {
  return new Promise((resolve) => {
    const box = make('input', { type: 'checkbox', checked: true });
    const no = button('Keep', () => dialog.close(), { autofocus: true });
    const act = button(yes, () => dialog.close('yes'), { className: 'danger' });
    const dialog = make(
      'dialog',
      { className: 'confirm', 'aria-label': title },
      make('h2', { textContent: title }),
      make('p', { textContent: text }),
      choice !== '' && make('label', {}, box, choice),
      make('div', { className: 'actions' }, no, act),
    );
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'yes' ? { choice: box.checked } : null);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
