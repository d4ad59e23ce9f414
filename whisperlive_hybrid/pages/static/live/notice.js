/** A banner that says what happened, what was kept and what to do. */

export class Notice {
  /** @param {HTMLElement} element with role=alert */
  constructor(element) {
    this.element = element;
  }

  /**
   * @param {{title: string, lines?: string[], code?: string, details?: string, actions?: {label: string, act?: () => void, href?: string}[]}} what
   */
  show({ title, lines = [], code = '', details = '', actions = [] }) {
    const heading = document.createElement('h2');
    heading.textContent = title;
    const body = lines.filter(Boolean).map((text) => {
      const line = document.createElement('p');
      line.textContent = text;
      return line;
    });
    const row = document.createElement('div');
    row.className = 'actions';
    row.append(...actions.map((action) => (action.href ? link(action) : this._button(action))));
    if (code) {
      const copied = { label: 'Copy details', keep: true, act: () => navigator.clipboard?.writeText(`${code}: ${title}\n${details}`) };
      row.append(this._button(copied), Object.assign(document.createElement('code'), { textContent: code }));
    }
    this.element.replaceChildren(heading, ...body, row);
    this.element.hidden = false;
  }

  hide() {
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  _button({ label, act, keep = false }) {
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = label;
    button.addEventListener('click', () => {
      if (!keep) this.hide();
      act?.();
    });
    return button;
  }
}

function link({ label, href }) {
  const anchor = document.createElement('a');
  anchor.textContent = label;
  anchor.href = href;
  return anchor;
}
