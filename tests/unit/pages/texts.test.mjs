/** Subtitles, and what the page says about its state. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { cues, srt, vtt } from '../../../whisperlive_hybrid/pages/static/client/subtitles.js';
import { statusOf, trouble } from '../../../whisperlive_hybrid/pages/static/live/status.js';

test('long segments become cues of two lines of 42 characters and at most 6 s, with every word', () => {
  const text = 'one two three four five, six seven eight nine ten. '.repeat(8).trim();
  const list = cues([{ start: 10, end: 40, text }]);
  assert.equal(list.map((cue) => cue.text.replace(/\n/g, ' ')).join(' '), text);
  for (const [i, cue] of list.entries()) {
    assert.ok(cue.text.split('\n').length <= 2);
    assert.ok(cue.text.split('\n').every((line) => line.length <= 42), cue.text);
    assert.ok(cue.end - cue.start <= 6.5, `${cue.end - cue.start} s`);
    if (i) assert.ok(Math.abs(cue.start - list[i - 1].end) < 1e-6);
  }
  assert.equal(list[0].start, 10);
  assert.ok(Math.abs(list.at(-1).end - 40) < 1e-6);
});

test('text without spaces is cut at 16 characters a line', () => {
  const text = '今日は天気がいいから散歩しましょう。'.repeat(4);
  const list = cues([{ start: 0, end: 12, text }]);
  assert.equal(list.map((cue) => cue.text.replace(/\n/g, '')).join(''), text);
  assert.ok(list.every((cue) => cue.text.split('\n').every((line) => line.length <= 16)));
});

test('SRT and WebVTT are written as their formats want', () => {
  const list = [{ start: 3661.5, end: 3662.0004, text: 'a <b> & c' }, { start: 3663, end: 3664, text: 'd' }];
  assert.equal(srt(list), '1\n01:01:01,500 --> 01:01:02,000\na <b> & c\n\n2\n01:01:03,000 --> 01:01:04,000\nd\n');
  assert.equal(vtt(list), 'WEBVTT\n\n01:01:01.500 --> 01:01:02.000\na &lt;b> &amp; c\n\n01:01:03.000 --> 01:01:04.000\nd\n');
  assert.equal(vtt([]), 'WEBVTT\n\n');
});

const running = { phase: 'running', state: 'open', reason: null, silent_s: 0, behind_s: 0, kept_s: 0 };
for (const [facts, text, tone] of [
  [{ phase: 'idle' }, 'Ready', 'calm'],
  [{ phase: 'asking' }, 'Allow the microphone in the browser prompt', 'wait'],
  [running, 'Listening', 'live'],
  [{ ...running, silent_s: 5, source: 'Desk mic' }, 'No sound from Desk mic', 'warn'],
  [{ ...running, muted: true }, 'No sound', 'warn'],
  [{ ...running, behind_s: 4.4 }, 'Captions are 4 s behind', 'warn'],
  [{ ...running, catchingUp: true, behind_s: 6 }, 'Catching up: 6 s to go', 'wait'],
  [{ ...running, reason: 'no_answer', kept_s: 3.9 }, 'No answer from the server. Still recording: 3 s kept', 'warn'],
  [{ ...running, state: 'reconnecting', reason: 'closed', kept_s: 12 }, 'Connection lost. Still recording: 12 s kept', 'warn'],
  [{ ...running, state: 'reconnecting', reason: 'go_away', kept_s: 2 }, 'The server is being restarted. Still recording: 2 s kept', 'warn'],
  [{ ...running, degraded: true }, 'Listening. The server is busy: words appear later', 'wait'],
  [{ ...running, state: 'connecting' }, 'Starting', 'wait'],
  [{ ...running, state: 'connecting', reason: 'closed', kept_s: 2 }, 'Cannot reach the server. Still recording: 2 s kept', 'warn'],
  [{ ...running, state: 'full', retry_s: 4.2 }, 'All places are in use. Trying again in 5 s', 'warn'],
  [{ phase: 'finishing' }, 'Finishing the last words', 'wait'],
  [{ phase: 'done', words: 1 }, 'Done. 1 word', 'good'],
  [{ phase: 'done', words: 3, unfinished: true }, 'Stopped. The last words may be missing. 3 words', 'warn'],
]) {
  test(`says “${text}”`, () => assert.deepEqual(statusOf(facts), { text, tone }));
}

test('trouble says what happened, what was kept and what to do', () => {
  for (const code of ['insecure', 'denied', 'none', 'busy', 'no-audio', 'unsupported', 'taken_over', 'key_unknown', 'anything']) {
    for (const hasText of [true, false]) {
      const { title, kept, next } = trouble(code, 'It broke', { host: 'h', hasText });
      assert.ok(title && kept && next);
      assert.equal(kept.includes('kept'), hasText);
    }
  }
});
