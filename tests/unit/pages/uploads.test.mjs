// The file page's pure parts, taken out of the page itself: scripts that say so in their first line.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import vm from 'node:vm';

const html = readFileSync(new URL('../../../whisperlive_hybrid/pages/test_form.html', import.meta.url), 'utf8');
const scripts = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text]) => text);
const pure = scripts.filter((text) => /^\s*'use strict';\s*\/\* \w+\.js, pure/.test(text));
const NAMES = ['pieces', 'plain', 'cues', 'srt', 'vtt', 'newRecord', 'parseRecord', 'phaseOf', 'isSameFile', 'idsIn', 'fragmentOf', 'patience', 'linesIn', 'jobIn', 'problemOf', 'told', 'shownBy', 'stateIn', 'troubleOf'];
// No document, no storage, no clock of their own: a pure part that wants one fails here.
const page = JSON.parse('{}');
const context = vm.createContext({});
for (const text of pure) vm.runInContext(text, context);
for (const name of NAMES) page[name] = vm.runInContext(name, context);
// Objects of another realm are compared by what they hold.
const same = (a, b) => assert.deepEqual(JSON.parse(JSON.stringify(a)), b);

const FILE = { name: 'talk.mp3', size: 1000 };
const record = (more = {}) => ({ ...page.newRecord(FILE, { id: 'a', key: 'k', server: 'http://s', fields: { language: 'en' }, format: 'json', now: 1000 }), ...more });
const item = (more = {}) => ({ record: record(more.record), phase: 'running', progress: null, segments: [], result: null, error: null, lost: false, retryAt: 0, deleteAt: 0, file: null, ...more, ...(more.record ? { record: record(more.record) } : {}) });
const segment = (id, text = `s${id}`) => ({ id, start: id, end: id + 1, text });

test('there are two pure parts', () => assert.equal(pure.length, 2));

test('a record comes back as it was noted, and nothing else is taken for one', () => {
  same(page.parseRecord(JSON.stringify(record({ job: 'job_1' }))), record({ job: 'job_1' }));
  for (const text of ['', '{', 'null', '[]', '{"id": "a"}', JSON.stringify(record({ job: '../../x' })), JSON.stringify({ ...record(), name: 3 })]) {
    assert.equal(page.parseRecord(text), null, text);
  }
});

test('what another page has left is asked for, waited for, or broken off', () => {
  assert.equal(page.phaseOf(record({ job: 'job_1', beat: 0 }), 1e9), 'asking');
  assert.equal(page.phaseOf(record({ beat: 1000 }), 2000), 'elsewhere');
  assert.equal(page.phaseOf(record({ beat: 1000 }), 1000 + 90000), 'broken');
  assert.equal(page.phaseOf(record({ beat: 0 }), 2e9), 'broken', 'the page that was left has said so');
});

test('the same file is known again', () => {
  assert.ok(page.isSameFile(record(), FILE));
  assert.ok(!page.isSameFile(record(), { ...FILE, size: 1001 }));
  assert.ok(page.isSameFile(record(), { ...FILE, lastModified: 6 }), 'a copy of it is the same');
});

test('the address names jobs, and what is no id is left out', () => {
  assert.equal(page.fragmentOf(['job_a', 'job_b']), '#jobs=job_a,job_b');
  assert.equal(page.fragmentOf([]), '');
  same(page.idsIn('#jobs=job_a,job_b,job_a,clip_x,<img>,job_/..'), ['job_a', 'job_b']);
  same(page.idsIn(''), []);
  same(page.idsIn(page.fragmentOf(Array.from({ length: 99 }, (_, i) => `job_${i}`))).length, 30);
});

test('lines are taken when they are whole', () => {
  same(page.linesIn('{"a":1}\n\n{"b"'), { lines: ['{"a":1}'], rest: '{"b"' });
  same(page.linesIn('{"a":1}\n'), { lines: ['{"a":1}'], rest: '' });
});

test('an answer that tells of no job is not taken for one', () => {
  same(page.jobIn('{"job_id": "job_1", "clip_id": "clip_1"}'), { job_id: 'job_1', clip_id: 'clip_1' });
  for (const text of ['', '<html>', 'null', '{}', '{"job_id": "batch_1"}', '{"job_id": "job_/../x"}']) assert.equal(page.jobIn(text), null, text);
});

test('waits grow to half a minute', () => {
  const waits = [0, 1, 2, 3, 4, 5, 99].map(page.patience);
  same(waits, [...waits].sort((a, b) => a - b));
  assert.deepEqual([waits[0], waits.at(-1)], [1, 30]);
});

const says = (code, message, more = {}) => JSON.stringify({ success: false, error: { code, message, accepted: [], ...more } });
for (const [status, body, retryAfter, then, wait] of [
  [401, says('key_missing', 'This server needs an API key.'), null, 'key'],
  [403, says('origin_refused', 'Pages of x may not.'), null, 'no'],
  [404, says('no_such_path', 'Nothing here.'), null, 'direct'],
  [404, '<html>', null, 'direct'],
  [405, '', null, 'direct'],
  [404, says('no_such_job', 'no job'), null, 'gone'],
  [409, says('idempotency_key_reused', 'used'), null, 'rekey'],
  [413, says('too_large', 'At most 2 MB.'), null, 'no'],
  [415, says('unsupported_media_type', 'not that'), null, 'no'],
  [429, says('full', '20 jobs wait.', { retry_after_s: 7 }), '9', 'later', 7],
  [429, '', '9', 'later', 9],
  [503, says('no_storage', 'This server keeps no clips.'), null, 'direct'],
  [503, says('loading', 'The model is being loaded.', { retry_after_s: 2 }), '2', 'later', 2],
  [503, says('engine_failed', 'The engine has failed.'), null, 'no'],
  [502, '<html>', null, 'later', 5],
  [507, says('disk_full', 'There is no room.'), null, 'no'],
  [500, says('internal_error', 'Our fault.'), null, 'no'],
]) {
  test(`${status} ${body.slice(0, 60)}: ${then}`, () => {
    const problem = page.problemOf(status, body, retryAfter);
    assert.equal(problem.then, then);
    if (wait) assert.equal(problem.wait, wait);
    if (body.startsWith('{')) assert.equal(problem.message, JSON.parse(body).error.message, 'the server’s own words');
    assert.match(problem.message, /\S/);
  });
}

test('events become phases and segments; what comes twice counts once', () => {
  const one = item();
  const apply = (event) => Object.assign(one, page.told(one, event));
  apply({ type: 'progress', state: 'queued', queue_place: 1 });
  assert.equal(page.stateIn(one, 0), 'In the queue, 1 before it');
  apply({ type: 'progress', state: 'running', stage: 'transcribing', done_s: 1 });
  for (const id of [0, 1, 1, 0, 2]) apply({ type: 'segment', segment: segment(id) });
  same(one.segments.map((s) => s.id), [0, 1, 2]);
  assert.equal(one.phase, 'running');
  apply({ type: 'heartbeat' });
  apply({ type: 'done', transcription: { segments: [segment(0)], language: 'en' } });
  assert.equal(one.phase, 'done');
  same(one.segments, [segment(0)]);
});

test('the end of a stream is told from the end of a job', () => {
  const told = (event, more) => page.told(item(more), event);
  const error = { type: 'error', error: { code: 'shutting_down', message: 'bye' } };
  same(told(error), { broke: true });
  same(told(error, { record: { direct: true } }), { phase: 'failed', error: error.error });
  same(told(error, { progress: { state: 'failed' } }), { phase: 'failed', error: error.error });
  assert.equal(told({ type: 'error', error: { code: 'job_cancelled', message: 'x' } }).phase, 'cancelled');
  assert.equal(told({ type: 'error', error: { code: 'no_such_job', message: 'x' } }).phase, 'gone');
});

test('every phase has words, and the ones that stand still say what to do', () => {
  const error = { code: 'x', message: 'why' };
  for (const phase of ['waiting', 'uploading', 'storing', 'queued', 'running', 'done', 'failed', 'cancelled', 'held', 'asking', 'elsewhere', 'broken', 'locked', 'gone']) {
    const one = item({ phase, error, reason: 'The server is full.', retryAt: 3500 });
    assert.match(page.stateIn(one, 0), /^[A-Z]/, phase);
    const trouble = page.troubleOf(one);
    assert.equal(trouble !== null, ['failed', 'broken', 'locked', 'gone'].includes(phase), phase);
    if (trouble) for (const part of ['message', 'kept', 'advice', 'code']) assert.match(trouble[part], /\S/, `${phase} ${part}`);
  }
  assert.equal(page.stateIn(item({ phase: 'held', reason: 'Full.', retryAt: 3500 }), 1000), 'Full. Trying again in 3 s');
  assert.match(page.stateIn(item({ phase: 'running', lost: true, retryAt: 2000 }), 1000), /Connection lost.*1 s/);
  assert.match(page.troubleOf(item({ phase: 'broken', record: { sent: 0.43 } })).message, /43 %/);
  assert.match(page.troubleOf(item({ phase: 'broken', record: { sent: 1 } })).message, /all was sent/);
});

test('words keep what stands between them, with and without spaces', () => {
  const words = (...list) => list.map((word, i) => ({ word, start: i, end: i + 1 }));
  const joined = (text, list) => page.pieces({ text, words: list, start: 0, end: 9 }).map((p) => p.gap + p.text).join('');
  assert.equal(joined(' six nine.', words(' six', ' nine.')), ' six nine.');
  assert.equal(joined('six nine.', words('six', 'nine.')), 'six nine.');
  assert.equal(joined('六九', words('六', '九')), '六九');
  assert.equal(joined('six', words('six', 'other')), 'six other', 'a word that the text does not have is not lost');
});

test('who speaks stands at the beginning of a turn, in text and subtitles', () => {
  const said = [['Ada', 'one'], ['Ada', 'two'], ['Bo', 'three'], [null, 'four']].map(([speaker_label, text], id) => ({ ...segment(id, text), speaker_label }));
  assert.equal(page.plain(said), 'Ada: one\ntwo\nBo: three\nfour');
  same(page.cues(said).map((cue) => cue.text), ['Ada: one', 'two', 'Bo: three', 'four']);
});

test('cues have at most two lines of 42 characters and 6 s', () => {
  const words = Array.from({ length: 60 }, (_, i) => ({ word: `word${i}`, start: i / 4, end: i / 4 + 0.2 }));
  const made = page.cues([{ id: 0, start: 0, end: 15, text: words.map((w) => w.word).join(' '), words }]);
  assert.ok(made.length > 2);
  for (const { start, end, text } of made) {
    assert.ok(end - start <= 6);
    assert.ok(text.split('\n').length <= 2);
    for (const line of text.split('\n')) assert.ok(line.length <= 42, line);
  }
  assert.equal(made.map((cue) => cue.text.replace('\n', ' ')).join(' '), words.map((w) => w.word).join(' '));
  assert.ok(page.vtt([{ start: 0, end: 1, text: '<b>&' }]).includes('&lt;b>&amp;'));
  assert.ok(page.srt([{ start: 3661.5, end: 3662, text: 'x' }]).startsWith('1\n01:01:01,500 --> 01:01:02,000\nx\n'));
});
