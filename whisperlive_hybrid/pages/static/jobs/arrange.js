/** Jobs in a list, and times in a transcript: what goes together, what comes where. Pure. */

import { isActive } from './wording.js';

/**
 * Jobs and batches in the order in which they are shown, newest first; jobs of one batch stand under it.
 * @param {Iterable<object>} jobs @param {Map<string, object>} batches
 * @returns {{batch: object | null, jobs: object[]}[]}
 */
export function groups(jobs, batches) {
  const sorted = [...jobs].sort((a, b) => (a.job_id < b.job_id ? 1 : -1));
  const found = new Map();
  for (const job of sorted) {
    const batch = batches.get(job.batch_id) ?? null;
    const key = batch ? job.batch_id : job.job_id;
    if (!found.has(key)) found.set(key, { batch, jobs: [] });
    // Of a batch the first file comes first, as it was sent.
    if (batch) found.get(key).jobs.unshift(job);
    else found.get(key).jobs.push(job);
  }
  return [...found.values()];
}

/**
 * What is known after a page of the list came: its jobs, those of before that are older, and none that it lacks.
 * @param {Map<string, object>} known @param {object[]} page newest first @param {boolean} last whether no older ones follow
 */
export function merged(known, page, last) {
  const oldest = page.at(-1)?.job_id ?? '';
  const kept = [...known.values()].filter((job) => !last && page.length > 0 && job.job_id < oldest);
  return new Map([...page, ...kept].map((job) => [job.job_id, job]));
}

/** How soon to look again, in ms. @param {Iterable<object>} jobs @param {boolean} hidden */
export function pollAfter(jobs, hidden) {
  if (hidden) return 15_000;
  return [...jobs].some(isActive) ? 1000 : 5000;
}

/**
 * Which of the spans is spoken at `t`; -1 for none. In a pause it is the one before, for a second.
 * @param {{start: number, end: number}[]} spans in order of start @param {number} t seconds
 */
export function spanAt(spans, t) {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle].start <= t + 0.02) low = middle + 1;
    else high = middle;
  }
  const at = low - 1;
  return at >= 0 && t < Math.max(spans[at].end, spans[at].start + 0.1) + 1 ? at : -1;
}

/**
 * Text in pieces, those that are one of the words marked; the last word may be the beginning of one.
 * @param {string} text @param {string} query @returns {{text: string, match: boolean}[]}
 */
export function marked(text, query) {
  const words = (query.match(WORD) ?? []).map(key);
  const last = words.at(-1);
  if (!words.length) return [{ text, match: false }];
  const pieces = [];
  let at = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    const found = key(word);
    if (!words.includes(found) && !found.startsWith(last)) continue;
    if (index > at) pieces.push({ text: text.slice(at, index), match: false });
    pieces.push({ text: word, match: true });
    at = index + word.length;
  }
  if (at < text.length) pieces.push({ text: text.slice(at), match: false });
  return pieces;
}

const WORD = /[\p{L}\p{N}\u0300-\u036f]+/gu;
const key = (word) => word.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
