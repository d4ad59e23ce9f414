/** What is open, as the address has it: `#job=job_…&t=12.3`, `#q=six+nine`, `#state=failed`, `#batch=batch_…`. Pure. */

/** `requests` are jobs of which nothing is kept: somebody waits, or waited, for their answer. */
const STATES = ['queued', 'running', 'done', 'failed', 'cancelled', 'requests'];

/** @typedef {{job: string, t: number | null, q: string, state: string, batch: string}} Route */

/** @param {string} hash @returns {Route} what makes no sense is left out */
export function parse(hash) {
  const fields = new URLSearchParams(hash.replace(/^#/, ''));
  const id = (name, kind) => {
    const value = fields.get(name) ?? '';
    return new RegExp(`^${kind}_[0-9A-Z]{26}$`).test(value) ? value : '';
  };
  const t = Number(fields.get('t') || Number.NaN);
  const state = fields.get('state') ?? '';
  return {
    job: id('job', 'job'),
    t: Number.isFinite(t) && t >= 0 ? t : null,
    q: (fields.get('q') ?? '').slice(0, 200),
    state: STATES.includes(state) ? state : '',
    batch: id('batch', 'batch'),
  };
}

/** @param {Partial<Route>} route @returns {string} with its `#`; `#` alone is the whole list */
export function format({ job = '', t = null, q = '', state = '', batch = '' }) {
  const fields = new URLSearchParams();
  if (job) fields.set('job', job);
  if (job && t !== null) fields.set('t', String(Math.round(t * 100) / 100));
  if (q) fields.set('q', q);
  if (state) fields.set('state', state);
  if (batch) fields.set('batch', batch);
  return `#${fields}`;
}
