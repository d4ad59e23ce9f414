/** The page of jobs: addresses, what is said of a job, order and time. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { groups, marked, merged, pollAfter, spanAt } from '../../../whisperlive_hybrid/pages/static/jobs/arrange.js';
import { format, parse } from '../../../whisperlive_hybrid/pages/static/jobs/route.js';
import { about, batchLine, batchName, clock, linesOf, nameOf, size, speakerName, stateLine, troubleOf } from '../../../whisperlive_hybrid/pages/static/jobs/wording.js';

const ID = 'job_0123456789ABCDEFGHJKMNPQRS';
const BATCH = ID.replace('job', 'batch');
const NOTHING = { job: '', t: null, q: '', state: '', batch: '' };

test('an address says what is open, and comes back as it was', () => {
  for (const route of [{ job: ID, t: 12.3 }, { job: ID, t: 0 }, { q: 'a & b=c #d' }, { state: 'failed' }, { batch: BATCH, job: ID }, {}]) {
    assert.deepEqual(parse(format(route)), { ...NOTHING, ...route });
  }
  assert.equal(format({ job: ID, t: 12.345 }), `#job=${ID}&t=12.35`);
});

test('addresses that make no sense open nothing', () => {
  for (const hash of ['', '#', '#job=../../x', `#job=${BATCH}`, '#t=-1', '#t=NaN', '#t=Infinity', '#t=', '#state=gone', '#batch=1', '#%', '#=&=']) {
    assert.deepEqual(parse(hash), NOTHING, hash);
  }
  assert.equal(parse(`#q=${'a'.repeat(999)}`).q.length, 200);
});

for (const [job, line] of [
  [{ state: 'queued', queue_place: 0 }, 'Waiting: next'],
  [{ state: 'queued', queue_place: 12 }, 'Waiting: 12 before it'],
  [{ state: 'queued', queue_place: null }, 'Waiting'],
  [{ state: 'queued', attempts: 1, queue_place: 0, error: { message: 'lost' } }, 'Trying again soon (1 failed)'],
  [{ state: 'running', stage: 'decoding', done_s: 0, clip_id: null, source_url: 'https://x' }, 'Fetching the file'],
  [{ state: 'running', stage: 'decoding', done_s: 0, clip_id: 'clip' }, 'Reading the file'],
  [{ state: 'running', stage: 'transcribing', done_s: 5, progress: 0.299, seconds_left: 65 }, '29 %, 1 min left'],
  [{ state: 'running', stage: 'transcribing', done_s: 5, progress: 0.3, seconds_left: null }, '30 %'],
  [{ state: 'running', stage: 'diarizing', done_s: 9, progress: 1 }, 'Telling speakers apart'],
  [{ state: 'cancelled' }, 'Cancelled'],
]) {
  test(`a job says: ${line}`, () => assert.equal(stateLine(job), line));
}

for (const [counts, state, line] of [
  [{ done: 1, queued: 2, running: 1 }, 'running', '1 of 4 done'],
  [{ done: 3 }, 'done', 'All 3 done'],
  [{ done: 2, failed: 1 }, 'done', '2 of 3 done, 1 failed'],
  [{ cancelled: 2, queued: 1 }, 'queued', '0 of 3 done, 2 cancelled'],
]) {
  test(`a batch says: ${line}`, () => assert.equal(batchLine({ counts, state }), line));
}

test('what things are called', () => {
  assert.equal(nameOf({ name: 'a.mp3', source_url: 'https://x/b', job_id: ID }), 'a.mp3');
  assert.equal(nameOf({ name: null, source_url: 'https://x/a/b%20c.mp3?d', job_id: ID }), 'b c.mp3');
  assert.equal(nameOf({ name: null, source_url: 'https://x.org/', job_id: ID }), 'x.org');
  assert.equal(nameOf({ name: null, source_url: 'https://x/%E0%A4%A', job_id: ID }), 'https://x/%E0%A4%A');
  assert.equal(nameOf({ name: null, source_url: null, job_id: ID }), ID);
  assert.equal(nameOf({ name: null, source_url: null, job_id: ID, kept: false, route: '/transcribe' }), 'Request to /transcribe');
  assert.equal(batchName({ name: '', counts: { done: 2, failed: 1 } }), '3 files');
  assert.equal(speakerName('SPEAKER_01'), 'Speaker 2');
  assert.equal(speakerName('Anna'), 'Anna');
});

test('times and sizes are written for people', () => {
  assert.deepEqual([0, 59.99, 60, 3723].map(clock), ['0:00', '0:59', '1:00', '1:02:03']);
  assert.deepEqual([0.4, 12.1, 61, 7300].map(about), ['a moment', '13 s', '1 min', '2 h 2 min']);
  assert.deepEqual([10, 1500, 2_500_000, 3e9].map(size), ['10 B', '2 kB', '2.5 MB', '3.00 GB']);
});

test('the server is quoted where this page has no better words', () => {
  assert.equal(troubleOf({ code: 'url_not_allowed', message: 'Only ports 80 and 443 are dialled.', status: 400 }).title, 'Only ports 80 and 443 are dialled.');
  assert.match(troubleOf({ code: 'no_storage', message: 'Its data folder cannot be written.', status: 503 }).next, /^Its data folder/);
  assert.equal(troubleOf({ code: 'http_413', message: 'A proxy refuses it.', status: 413 }).title, 'The file is too large');
  assert.equal(troubleOf({ code: 'x', message: '', status: 418 }).title, 'The server answered 418');
});

test('each of several wrong things has its own line', () => {
  const one = { code: 'bad_url', message: 'No link.', status: 400 };
  assert.deepEqual(linesOf({ ...one, all: [] }), { title: 'No link.', lines: [''], code: 'bad_url' });
  const several = linesOf({ ...one, message: 'No link; no host.', all: ['No link.', 'No host.'] });
  assert.deepEqual([several.title, several.lines], ['2 things are wrong; nothing was queued', ['No link.', 'No host.']]);
});

const job = (n, more = {}) => ({ job_id: `job_${String(n).padStart(3, '0')}`, batch_id: null, state: 'done', ...more });

test('newest first; a batch stands where its jobs are, in the order in which they were sent', () => {
  const batches = new Map([['b', { job_id: 'b' }]]);
  const jobs = [job(1), job(4), job(2, { batch_id: 'b' }), job(3, { batch_id: 'b' }), job(5, { batch_id: 'unknown' })];
  const shown = groups(jobs, batches).map(({ batch, jobs }) => [batch?.job_id ?? null, jobs.map((each) => Number(each.job_id.slice(4)))]);
  assert.deepEqual(shown, [[null, [5]], [null, [4]], ['b', [2, 3]], [null, [1]]]);
});

test('what was deleted goes, older pages stay', () => {
  const known = new Map([1, 2, 5, 6, 7].map((n) => [job(n).job_id, job(n)]));
  const ids = (map) => [...map.keys()].map((id) => Number(id.slice(4)));
  assert.deepEqual(ids(merged(known, [job(8), job(7), job(5)], false)), [8, 7, 5, 1, 2]);
  assert.deepEqual(ids(merged(known, [job(8), job(7), job(5)], true)), [8, 7, 5]);
  assert.deepEqual(ids(merged(known, [], true)), []);
});

test('the list is asked for often only while something happens and somebody looks', () => {
  assert.ok(pollAfter([job(1, { state: 'running' })], false) < pollAfter([job(1)], false));
  assert.ok(pollAfter([job(1)], false) < pollAfter([job(1, { state: 'running' })], true));
});

test('what is spoken at a time, also at the edges and in pauses', () => {
  const spans = [{ start: 1, end: 2 }, { start: 2, end: 2 }, { start: 5, end: 6 }];
  const at = (t) => spanAt(spans, t);
  assert.deepEqual([0, 0.97, 0.99, 1.5, 2, 2.5, 3.5, 4.99, 5, 6.5, 9].map(at), [-1, -1, 0, 0, 1, 1, -1, 2, 2, 2, -1]);
  assert.equal(spanAt([], 1), -1);
});

test('words of a search are marked as the server finds them', () => {
  const show = (text, query) => marked(text, query).map(({ text, match }) => (match ? `[${text}]` : text)).join('');
  assert.equal(show('Six, nine. Nineteen sixty', 'SIX nine'), '[Six], [nine]. [Nineteen] sixty');
  assert.equal(show('Über uns', 'uber'), '[Über] uns');
  assert.equal(show('<b>nine</b>', 'nine'), '<b>[nine]</b>');
  assert.equal(show('nine', '  !'), 'nine');
});
