/** Files and links become jobs: each file is kept by itself, two at a time, then all are filed together. */

import { button, make, say } from './dom.js';
import { size, troubleOf } from './wording.js';

const AT_ONCE = 2;
const KEY = 'whisperlive-hybrid.jobs.sent.1';

export class Sending {
  /**
   * @param {{api: import('./api.js').Api, list: HTMLElement, options: () => object, filed: (answer: object) => void,
   *   failed: (error: Error) => void}} parts
   */
  constructor({ api, list, options, filed, failed }) {
    Object.assign(this, { api, list, options, filed, failed });
    this.under_way = 0;
    addEventListener('beforeunload', (event) => {
      if (this.under_way) event.preventDefault();
    });
  }

  /** @param {File[]} files */
  async files(files) {
    if (!files.length) return;
    const options = this.options();
    const items = files.map((file) => this._item(file));
    const cancel = files.length > 1 ? button(`Cancel all ${files.length}`, () => items.forEach((item) => item.stop.abort()), { className: 'cancel-all' }) : null;
    if (cancel) this.list.prepend(make('li', { className: 'all' }, cancel));
    this.under_way += 1;
    const waiting = [...items];
    const work = async () => {
      for (let item = waiting.shift(); item; item = waiting.shift()) {
        await this._send(item);
        remember(items, options);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    this.under_way -= 1;
    cancel?.parentElement.remove();
    const arrived = items.filter((item) => item.clip && !item.stop.signal.aborted);
    for (const item of items) if (item.clip && !arrived.includes(item)) this._takeBack(item);
    if (!arrived.length) forget();
    if (arrived.length) await this.file({ clip_id: arrived.map((item) => item.clip) }, options, arrived.map((item) => item.element));
  }

  /** It was cancelled after it had arrived. */
  async _takeBack({ clip, element }) {
    element.remove();
    await this.api.ask(`api/audio/${clip}`, { method: 'DELETE' }).catch((error) => this.failed(error));
  }

  /** @param {string[]} urls */
  async urls(urls) {
    return this.file({ url: urls }, this.options(), []);
  }

  /** Queue jobs. @param {object} what clip_id or url @param {HTMLElement[]} rows that are of no use afterwards */
  async file(what, options, rows) {
    try {
      const answer = await this.api.ask('api/jobs', { method: 'POST', json: { ...what, ...options } });
      for (const row of rows) row.remove();
      forget();
      this.filed(answer);
      return true;
    } catch (error) {
      if (!rows.length) {
        this.failed(error);
        return false;
      }
      // The files are at the server: only the asking is tried again.
      const again = button('Try again', () => {
        row.remove();
        this.file(what, options, rows);
      });
      const row = make('li', { className: 'refused' }, make('p', { textContent: `The files are at the server, but were not queued: ${error.message}` }), again);
      this.list.prepend(row);
      return false;
    }
  }

  _item(file) {
    const stop = new AbortController();
    const said = make('span', { className: 'facts', textContent: `${size(file.size)} · waiting` });
    const bar = make('progress', { max: 1, value: 0, 'aria-label': `Sending ${file.name}` });
    const act = button('Cancel', () => stop.abort(), { 'aria-label': `Do not send ${file.name}` });
    const element = make('li', { className: 'sending' }, make('span', { className: 'name', textContent: file.name, dir: 'auto' }), act, said, bar);
    this.list.append(element);
    return { file, stop, said, bar, act, element, clip: '' };
  }

  async _send(item) {
    const { file, stop, said, bar, act, element } = item;
    if (stop.signal.aborted) {
      element.remove();
      return;
    }
    try {
      const progress = (share) => {
        bar.value = share;
        say(said, share < 1 ? `${size(file.size)} · ${Math.floor(share * 100)} % sent` : `${size(file.size)} · being looked at`);
      };
      item.clip = await this.api.upload(file, { progress, signal: stop.signal });
      say(said, 'Sent; the others follow');
      act.remove();
    } catch (error) {
      if (error.name === 'AbortError') {
        element.remove();
        return;
      }
      const { title, next } = troubleOf(error);
      element.className = 'sending refused';
      bar.remove();
      say(said, [title, next].filter(Boolean).join(' '));
      act.replaceWith(
        make('span', { className: 'tools' },
          button('Try again', () => { element.remove(); this.files([file]); }, { 'aria-label': `Send ${file.name} again` }),
          button('Dismiss', () => element.remove(), { 'aria-label': `Forget ${file.name}` })),
      );
    }
  }
}

/** Files that arrived before the page was closed: they can still be filed. */
function remember(items, options) {
  try {
    localStorage.setItem(KEY, JSON.stringify({ clips: items.map((item) => item.clip).filter(Boolean), n: items.length, options }));
  } catch {
    // Without it nothing is lost but the offer.
  }
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Then it was never kept.
  }
}

/** What an earlier page sent and did not file. @returns {{clips: string[], n: number, options: object} | null} */
export function sentBefore() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    return found?.clips?.length ? found : null;
  } catch {
    return null;
  }
}
