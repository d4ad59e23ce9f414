/** Search in all transcripts, while one types. */

import { make, say, withMarks } from './dom.js';
import { format } from './route.js';
import { clock, speakerName, when } from './wording.js';

const WAIT_MS = 200;

export class Search {
  /** @param {{api: import('./api.js').Api, field: HTMLInputElement, list: HTMLElement, more: HTMLButtonElement, said: HTMLElement, failed: (error: Error) => void}} parts */
  constructor({ api, field, list, more, said, failed }) {
    Object.assign(this, { api, field, list, more, said, failed });
    this.query = '';
    this.after = null;
    this.shown = 0;
    more.addEventListener('click', () => this._ask(true));
  }

  /** @param {string} query nothing ends the search */
  show(query) {
    if (query === this.query) return;
    this.query = query;
    clearTimeout(this.timer);
    this.asked?.abort();
    if (!query.trim()) {
      this.list.replaceChildren();
      this.more.hidden = true;
      return;
    }
    say(this.said, 'Searching');
    this.timer = setTimeout(() => this._ask(false), WAIT_MS);
  }

  async _ask(further) {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    const fields = new URLSearchParams({ q: this.query, prefix: 'true', text: 'false', limit: '20' });
    if (further) fields.set('after', this.after);
    try {
      const page = await this.api.ask(`api/transcription?${fields}`, { signal: asked.signal });
      if (asked.signal.aborted) return;
      if (!further) {
        this.list.replaceChildren();
        this.shown = 0;
      }
      this.shown += page.transcriptions.length;
      this.after = page.after;
      this.more.hidden = page.after === null;
      this.list.append(...page.transcriptions.map((found) => this._found(found)));
      const n = `${this.shown}${page.after === null ? '' : ' or more'}`;
      if (!this.shown) say(this.said, `Nothing is said that matches “${this.query}”.`);
      else say(this.said, this.shown === 1 && page.after === null ? '1 transcript' : `${n} transcripts`);
    } catch (error) {
      if (error.name !== 'AbortError') this.failed(error);
    }
  }

  _found({ job_id: job, name, created, match_count: n, matches }) {
    const link = (t) => format({ job, t, q: this.query });
    const places = matches.map(({ start, speaker_label: speaker, snippet }) =>
      make(
        'li',
        {},
        make('a', { href: link(start), dir: 'auto' }, make('time', { textContent: clock(start) }), speaker ? make('b', { textContent: `${speakerName(speaker)}: ` }) : null, ...withMarks(snippet)),
      ),
    );
    const rest = n - matches.length;
    return make(
      'li',
      { className: 'found' },
      make('a', { className: 'name', href: link(null), textContent: name || job, dir: 'auto' }),
      make('span', { className: 'facts', textContent: `${when(created, new Date())}` }),
      make('ul', {}, ...places),
      rest > 0 && make('p', { className: 'facts', textContent: rest === 1 ? 'and 1 more place' : `and ${rest} more places` }),
    );
  }
}
