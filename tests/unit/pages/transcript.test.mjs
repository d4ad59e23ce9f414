import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Transcript } from '../../../whisperlive_hybrid/pages/static/client/transcript.js';

const partial = (segment, append, tentative, more = {}) => ({ type: 'partial', segment, start: segment, end: segment + 1, append, tentative, ...more });
const final = (segment, text, more = {}) => ({ type: 'final', segment, start: segment, end: segment + 1, text, language: 'en', ...more });

test('committed words grow, the tail is replaced, the final settles both', () => {
  const transcript = new Transcript();
  transcript.receive(partial(0, '', 'one to'));
  transcript.receive(partial(0, 'one', ' two'));
  transcript.receive(partial(0, ' two', ' tree'));
  assert.equal(transcript.text(), 'one two tree');
  assert.equal(transcript.text({ tentative: false }), 'one two');
  transcript.receive(final(0, 'one two three.'));
  assert.equal(transcript.text(), 'one two three.');
  assert.deepEqual(transcript.segments.map((s) => s.final), [true]);
});

test('a partial that comes after its final changes nothing', () => {
  const transcript = new Transcript();
  transcript.receive(final(0, 'one.'));
  transcript.receive(partial(0, 'two', ''));
  assert.equal(transcript.text(), 'one.');
});

test('text without spaces stays without', () => {
  const transcript = new Transcript();
  transcript.receive(partial(0, '你好', '世'));
  transcript.receive(partial(0, '世界', ''));
  assert.equal(transcript.text(), '你好世界');
});

test('what a forgotten session left open stays visible until it is said again, then goes', () => {
  const transcript = new Transcript();
  transcript.receive(final(0, 'one.'));
  transcript.receive(partial(1, 'two', ' three'));
  transcript.receive({ type: 'restarted', offset: 1 });
  assert.equal(transcript.text(), 'one.\ntwo three');
  assert.equal(transcript.text({ tentative: false }), 'one.');
  transcript.receive(partial(0, 'two', ' three', { epoch: 1 }));
  assert.equal(transcript.text(), 'one.\ntwo three');
  transcript.receive(final(0, 'two three four.', { epoch: 1 }));
  assert.equal(transcript.text(), 'one.\ntwo three four.');
});

test('text without a final is withdrawn when the session is restored, and comes again once', () => {
  const transcript = new Transcript();
  transcript.receive(final(0, 'one.'));
  transcript.receive(partial(1, 'two', ' three'));
  assert.deepEqual(transcript.receive({ type: 'resumed', frames: 3 }), [], 'the same process: nothing is withdrawn');
  transcript.receive({ type: 'resumed', frames: 1, restored: true });
  assert.equal(transcript.text({ tentative: false }), 'one.');
  assert.equal(transcript.text(), 'one.\ntwo three', 'still to be read, as tentative');
  transcript.receive(partial(1, '', 'two'));
  assert.equal(transcript.text(), 'one.\ntwo');
  transcript.receive(final(1, 'two three.'));
  assert.equal(transcript.text(), 'one.\ntwo three.');
  assert.equal(transcript.segments.length, 2);
});

test('missing audio is one line that grows', () => {
  const transcript = new Transcript();
  transcript.receive(final(0, 'one.'));
  transcript.receive({ type: 'gap', start: 1, end: 5 });
  transcript.receive({ type: 'gap', start: 5, end: 13 });
  transcript.receive(final(13, 'two.'));
  assert.equal(transcript.text(), 'one.\n[12 s missing]\ntwo.');
  assert.equal(transcript.lines().length, 2, 'no subtitle for what was not heard');
});

test('done drops tails that became nothing; a session that was cut off keeps them', () => {
  for (const [unfinished, expected] of [[false, 'one'], [true, 'one two']]) {
    const transcript = new Transcript();
    transcript.receive(partial(0, 'one', ' two'));
    transcript.receive({ type: 'done', unfinished });
    assert.equal(transcript.text(), expected);
  }
});

test('speakers are named later, earlier segments too', () => {
  const transcript = new Transcript();
  transcript.receive(final(0, 'one.'));
  transcript.receive(final(1, 'two.'));
  transcript.receive({ type: 'speaker', segment: 1, speaker: 'A', also: [{ segment: 0, speaker: 'B' }] });
  assert.deepEqual(transcript.lines().map((line) => line.speaker), ['B', 'A']);
});
