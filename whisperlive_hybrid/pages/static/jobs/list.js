/** The list of jobs and batches, kept up to date by asking again: one connection, and only while something happens often. */

import { groups, merged, pollAfter } from './arrange.js';
import { button, make, say } from './dom.js';
import { format } from './route.js';
import { batchLine, batchName, clock, isActive, nameOf, stateLine, stateWord, when } from './wording.js';

const PAGE = 50;
const BATCH_FORMATS = [['txt', 'Text'], ['srt', 'Subtitles'], ['vtt', 'Web subtitles'], ['json', 'JSON']];

export class JobList {
  /**
   * @param {{api: import('./api.js').Api, list: HTMLElement, older: HTMLButtonElement, said: HTMLElement, actions: object,
   *   changed: () => void, failed: (error: Error | null) => void}} parts
   */
  constructor({ api, list, older, said, actions, changed, failed }) {
    Object.assign(this, { api, list, older, said, actions, changed, failed });
    /** @type {Map<string, object>} */
    this.jobs = new Map();
    this.batches = new Map();
    this.counts = {};
    this.after = null;
    this.loaded = false;
    this.open = '';
    this.filter = { state: '', batch: '' };
    this.folded = new Set();
    this.rows = new Map();
    this.round = 0;
    older.addEventListener('click', () => this.more());
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
  }

  /** Show others. @param {{state: string, batch: string}} filter */
  show(filter) {
    if (this.loaded && filter.state === this.filter.state && filter.batch === this.filter.batch) return;
    this.filter = { state: filter.state, batch: filter.batch };
    this.jobs.clear();
    this.loaded = false;
    this.refresh();
  }

  /** Ask now, and again when it is time. */
  async refresh() {
    clearTimeout(this.timer);
    const round = (this.round += 1);
    try {
      const page = await this.api.ask(this._path());
      if (round !== this.round) return;
      const before = this.jobs;
      // Where older ones are shown, the page's end is not theirs.
      if (!this.loaded || before.size <= PAGE) this.after = page.after;
      this.jobs = merged(before, page.jobs, page.after === null);
      await this._refreshOlder(page.jobs);
      if (round !== this.round) return;
      this._take(page);
      if (this.loaded) this._announce(before);
      this.loaded = true;
      this.failed(null);
    } catch (error) {
      if (round !== this.round) return;
      this.failed(error);
    }
    this.draw();
    this.changed();
    this.timer = setTimeout(() => this.refresh(), pollAfter(this.jobs.values(), document.hidden));
  }

  /** Active jobs that are not on the first page. */
  async _refreshOlder(page) {
    const fresh = new Set(page.map((job) => job.job_id));
    if (![...this.jobs.values()].some((job) => isActive(job) && !fresh.has(job.job_id))) return;
    const { jobs } = await this.api.ask('api/jobs?state=queued,running&limit=200');
    const active = new Map(jobs.map((job) => [job.job_id, job]));
    for (const job of [...this.jobs.values()].filter((each) => isActive(each) && !fresh.has(each.job_id))) {
      if (active.has(job.job_id)) this.jobs.set(job.job_id, active.get(job.job_id));
      else if (jobs.length < 200) await this._reload(job.job_id);
    }
  }

  async _reload(id) {
    try {
      this.jobs.set(id, await this.api.ask(`api/jobs/${id}`));
    } catch (error) {
      if (error.status !== 404) throw error;
      this.jobs.delete(id);
    }
  }

  async more() {
    this.older.disabled = true;
    try {
      const page = await this.api.ask(`${this._path()}&after=${this.after}`);
      for (const job of page.jobs) this.jobs.set(job.job_id, job);
      this.after = page.after;
      this._take(page);
    } catch (error) {
      this.failed(error);
    }
    this.older.disabled = false;
    this.draw();
  }

  /** What is known of one job is news. @param {object} job or some of its fields, with job_id */
  update(job) {
    const known = this.jobs.get(job.job_id);
    if (!known) return;
    this.jobs.set(job.job_id, { ...known, ...job });
    this.draw();
  }

  remove(ids) {
    for (const id of ids) this.jobs.delete(id);
    this.draw();
    this.refresh();
  }

  mark(id) {
    this.open = id;
    this.draw();
  }

  _path() {
    const { state, batch } = this.filter;
    const which = state === 'requests' ? '&kept=false' : `&kept=true${state ? `&state=${state}` : ''}`;
    return `api/jobs?limit=${PAGE}${which}${batch ? `&batch_id=${batch}` : ''}`;
  }

  _take({ batches, counts }) {
    if (this.filter.state !== 'requests') this.counts = counts;
    for (const batch of batches) this.batches.set(batch.job_id, batch);
  }

  /** Said politely: which jobs ended since the last look. */
  _announce(before) {
    const ended = [...this.jobs.values()].filter((job) => !isActive(job) && before.has(job.job_id) && isActive(before.get(job.job_id)));
    if (ended.length > 3) say(this.said, `${ended.length} jobs ended`);
    else if (ended.length) say(this.said, ended.map((job) => `${nameOf(job)}: ${stateWord(job.state)}`).join('. '));
  }

  draw() {
    const wanted = [];
    for (const { batch, jobs } of groups(this.jobs.values(), this.batches)) {
      if (!batch) {
        wanted.push(this._row(jobs[0]));
        continue;
      }
      const folded = this.folded.has(batch.job_id);
      wanted.push(this._batch(batch, folded));
      if (!folded) wanted.push(...jobs.map((job) => this._row(job)));
    }
    place(this.list, wanted);
    const kept = new Set(wanted);
    for (const [key, row] of this.rows) if (!kept.has(row.element)) this.rows.delete(key);
    this.older.hidden = this.after === null;
  }

  _row(job) {
    const name = nameOf(job);
    const row = this._known(job.job_id, () => {
      const link = make('a', { className: 'name', dir: 'auto' });
      const state = make('span', { className: 'state' });
      const facts = make('span', { className: 'facts' });
      const bar = make('progress', { max: 1 });
      const reason = make('p', { className: 'reason' });
      const tools = make('div', { className: 'tools' });
      const element = make('li', { className: 'job' }, link, tools, make('p', { className: 'line' }, state, facts), bar, reason);
      return { element, link, state, facts, bar, reason, tools, of: '' };
    });
    const { element, link, state, facts, bar, reason } = row;
    element.dataset.state = job.state;
    element.classList.toggle('in-batch', Boolean(job.batch_id && this.batches.has(job.batch_id)));
    if (job.job_id === this.open) link.setAttribute('aria-current', 'true');
    else link.removeAttribute('aria-current');
    link.href = format({ job: job.job_id, state: this.filter.state, batch: this.filter.batch });
    say(link, name);
    link.title = name;
    say(state, stateLine(job));
    const length = job.total_s ? clock(job.total_s) : '';
    say(facts, [length, job.model, when(job.created, new Date())].filter(Boolean).join(' · '));
    bar.hidden = job.state !== 'running';
    showShare(bar, job, name);
    const why = job.state === 'failed' && job.error ? job.error.message : '';
    say(reason, why);
    reason.hidden = !why;
    this._tools(row, job.state, () => [
      isActive(job) && button('Cancel', () => this.actions.cancel(job.job_id), { 'aria-label': `Cancel ${name}` }),
      job.kept && ['failed', 'cancelled'].includes(job.state) && button('Retry', () => this.actions.retry(job.job_id), { 'aria-label': `Retry ${name}` }),
      !isActive(job) && button('Delete', () => this.actions.remove(this.jobs.get(job.job_id) ?? job), { 'aria-label': `Delete ${name}`, className: 'quietly' }),
    ]);
    return element;
  }

  _batch(batch, folded) {
    const name = batchName(batch);
    const row = this._known(batch.job_id, () => {
      const fold = button('', () => {
        if (!this.folded.delete(batch.job_id)) this.folded.add(batch.job_id);
        this.draw();
      }, { className: 'fold' });
      const state = make('span', { className: 'state' });
      const facts = make('span', { className: 'facts' });
      const bar = make('progress', { max: 1 });
      const tools = make('div', { className: 'tools' });
      const element = make('li', { className: 'batch' }, fold, tools, make('p', { className: 'line' }, state, facts), bar);
      return { element, fold, state, facts, bar, tools, of: '' };
    });
    const { element, fold, state, facts, bar } = row;
    element.dataset.state = batch.state;
    say(fold, name);
    fold.setAttribute('aria-expanded', String(!folded));
    say(state, batchLine(batch));
    say(facts, [batch.total_s ? clock(batch.total_s) : '', when(batch.created, new Date())].filter(Boolean).join(' · '));
    bar.hidden = !isActive(batch);
    showShare(bar, batch, name);
    const { failed = 0, cancelled = 0 } = batch.counts;
    this._tools(row, `${batch.state} ${failed + cancelled > 0}`, () => [
      isActive(batch) && button('Cancel all', () => this.actions.cancel(batch.job_id), { 'aria-label': `Cancel all of ${name}` }),
      failed + cancelled > 0 && button('Retry failed', () => this.actions.retry(batch.job_id), { 'aria-label': `Retry what failed of ${name}` }),
      !isActive(batch) && batch.counts.done > 0 && this._downloads(batch),
      !isActive(batch) && button('Delete', () => this.actions.removeBatch(batch), { 'aria-label': `Delete ${name}` }),
    ]);
    return element;
  }

  _downloads(batch) {
    const zip = ([what, label]) => button(label, () => this.actions.download(`api/jobs/${batch.job_id}/result?format=zip&transcript=${what}`, `${batchName(batch)} ${what}.zip`), { 'data-zip': what });
    const lines = button('All as lines of JSON', () => this.actions.download(`api/jobs/${batch.job_id}/result?format=ndjson`, `${batchName(batch)}.ndjson`), { 'data-zip': 'ndjson' });
    return make('details', { className: 'menu' }, make('summary', { textContent: 'Download' }), make('div', { className: 'panel' }, ...BATCH_FORMATS.map(zip), lines));
  }

  _known(key, create) {
    if (!this.rows.has(key)) this.rows.set(key, create());
    return this.rows.get(key);
  }

  /** Buttons are made anew only where others are wanted: the focus stays. */
  _tools(row, of, create) {
    if (row.of === of) return;
    const had = row.tools.contains(document.activeElement);
    row.of = of;
    row.tools.replaceChildren(...create().filter(Boolean));
    if (had) row.tools.querySelector('button')?.focus();
  }
}

function showShare(bar, { state, progress, stage }, name) {
  if (state === 'running' && (stage === 'diarizing' || (stage === 'decoding' && !progress))) bar.removeAttribute('value');
  else bar.value = progress;
  bar.setAttribute('aria-label', `Progress of ${name}`);
}

/** Make these the children, and move only what stands elsewhere. */
function place(list, wanted) {
  const kept = new Set(wanted);
  for (const child of [...list.children]) if (!kept.has(child)) child.remove();
  wanted.forEach((element, i) => {
    if (list.children[i] !== element) list.insertBefore(element, list.children[i] ?? null);
  });
}
