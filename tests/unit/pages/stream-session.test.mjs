/** The protocol's client side, with time turned by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FrameRing } from '../../../whisperlive_hybrid/pages/static/client/frame-ring.js';
import { BACKOFF_MS, FINISH_LOST_MS, FINISH_MS, RESTART_MS, StreamSession } from '../../../whisperlive_hybrid/pages/static/client/stream-session.js';
import { DEAD_MS, STALLED_MS } from '../../../whisperlive_hybrid/pages/static/client/watch.js';

const bytes = (n) => new Uint8Array([n]);
const READY = { type: 'ready', event: 1, session: 's', token: 't', protocol: 1, settings: {}, heartbeat_s: 10, resume_s: 60 };

/** A session that talks to a script: `said` is what it sent, `told` what the application heard. */
class Talk {
  constructor(options = { codec: 'opus' }, parts = {}) {
    this.session = new StreamSession(options, { random: () => 0.5, ...parts });
    this.now = 0;
    this.said = [];
    this.told = [];
    this.connects = 0;
    this.disconnects = [];
  }
  do(actions) {
    for (const action of actions) {
      if (action.do === 'send') this.said.push(typeof action.data === 'string' ? JSON.parse(action.data) : action.data[0]);
      if (action.do === 'emit') this.told.push(action.event);
      if (action.do === 'connect') this.connects += 1;
      if (action.do === 'disconnect') this.disconnects.push(action.code);
    }
    return this;
  }
  start() {
    return this.do(this.session.start(this.now)).do(this.session.receiveOpen(this.now));
  }
  hear(message) {
    return this.do(this.session.receiveText(JSON.stringify(message), this.now));
  }
  audio(n) {
    return this.do(this.session.sendAudio(bytes(n), 0.5, this.now));
  }
  close(code) {
    return this.do(this.session.receiveClose(code, this.now));
  }
  wait(ms) {
    this.now += ms;
    return this.do(this.session.advance(this.now));
  }
  reconnect() {
    this.now = this.session.nextDeadline();
    return this.do(this.session.advance(this.now)).do(this.session.receiveOpen(this.now));
  }
  clear() {
    this.said = [];
    this.told = [];
    return this;
  }
  states() {
    return this.told.filter((event) => event.type === 'state').map((event) => event.state);
  }
}

test('audio recorded before the server is ready is sent when it is, in order', () => {
  const talk = new Talk().start();
  talk.audio(1).audio(2);
  assert.deepEqual(talk.said, [{ type: 'start', codec: 'opus' }]);
  talk.hear(READY).audio(3);
  assert.deepEqual(talk.said.slice(1), [1, 2, 3]);
  assert.equal(talk.session.state, 'open');
});

test('a broken connection is resumed from the message the server names', () => {
  const talk = new Talk().start().hear(READY).audio(1).audio(2).audio(3);
  talk.hear({ type: 'ack', event: 2, received: 2, committed: 1 }).close(1006);
  talk.audio(4);
  talk.clear().reconnect();
  assert.deepEqual(talk.said, [{ type: 'resume', session: 's', token: 't', last_event: 2 }]);
  talk.hear({ type: 'resumed', event: 2, frames: 1 });
  assert.deepEqual(talk.said.slice(1), [2, 3, 4], 'message 1 was taken; 2 and 3 may be lost; 4 was never sent');
  assert.deepEqual(talk.states(), ['open']);
});

test('events seen before the break are not told twice', () => {
  const talk = new Talk().start().hear(READY).audio(1);
  const final = { type: 'final', event: 2, segment: 0, start: 0, end: 1, text: 'one' };
  talk.hear(final).close(1006).reconnect().clear();
  talk.hear({ type: 'resumed', event: 3, frames: 1 }).hear(final).hear({ ...final, event: 3, segment: 1 });
  assert.deepEqual(talk.told.filter((event) => event.type === 'final').map((event) => event.segment), [1]);
});

test('what is committed is forgotten, the rest is kept', () => {
  const talk = new Talk().start().hear(READY).audio(1).audio(2).audio(3);
  talk.hear({ type: 'ack', event: 2, received: 3, committed: 2 });
  assert.deepEqual(talk.session.ring.frames.map((frame) => frame.number), [2]);
  assert.equal(talk.session.ring.kept_s, 0.5);
});

test('waits grow with each try, a try that succeeds resets them', () => {
  const talk = new Talk().start().hear(READY);
  for (const wait of BACKOFF_MS) {
    talk.close(1006);
    assert.equal(talk.session.nextDeadline() - talk.now, wait);
    talk.wait(wait);
  }
  talk.do(talk.session.receiveOpen(talk.now)).hear({ type: 'resumed', event: 1, frames: 0 }).close(1006);
  assert.equal(talk.session.nextDeadline() - talk.now, BACKOFF_MS[0]);
});

test('the network coming back ends the wait', () => {
  const talk = new Talk().start().hear(READY).close(1006);
  talk.do(talk.session.receiveOnline(talk.now));
  assert.equal(talk.connects, 2);
});

test('a dead network is noticed by missing acks: said after 3 s, given up after 12 s', () => {
  const talk = new Talk().start().hear(READY).audio(1).clear();
  talk.wait(STALLED_MS - 1);
  assert.deepEqual(talk.told, []);
  talk.wait(1);
  assert.deepEqual(talk.told, [{ type: 'state', state: 'open', reason: 'no_answer' }]);
  talk.wait(DEAD_MS - STALLED_MS);
  assert.equal(talk.session.state, 'reconnecting');
  assert.deepEqual(talk.disconnects, [4000], 'not a farewell: the session goes on');
});

test('a server that is behind but alive keeps its connection', () => {
  const talk = new Talk().start().hear(READY).audio(1);
  for (let number = 2; number < 8; number += 1) talk.wait(9999).hear({ type: 'heartbeat', event: number });
  assert.equal(talk.session.state, 'open');
  assert.equal(talk.connects, 1);
  talk.wait(DEAD_MS);
  assert.equal(talk.session.state, 'reconnecting');
});

test('heartbeats that do not come end the connection, whether audio is sent or not', () => {
  const talk = new Talk().start().hear(READY);
  assert.equal(talk.session.nextDeadline(), 18_000);
  talk.wait(17_999);
  assert.equal(talk.session.state, 'open');
  talk.wait(1);
  assert.equal(talk.session.state, 'reconnecting');
  talk.wait(0);
  assert.equal(talk.connects, 2);
});

test('an ack after a stall clears it; silence without audio to send is no stall', () => {
  const talk = new Talk().start().hear(READY).audio(1).wait(STALLED_MS).clear();
  talk.hear({ type: 'ack', event: 2, received: 1, committed: 0 });
  assert.deepEqual(talk.states(), ['open']);
  talk.clear().wait(STALLED_MS + 1000);
  assert.deepEqual(talk.told, []);
});

test('stop sends stop after the audio and ends with done', () => {
  const talk = new Talk().start().hear(READY).audio(1);
  talk.do(talk.session.stop(talk.now));
  assert.deepEqual(talk.said.slice(1), [1, { type: 'stop' }]);
  talk.audio(2);
  assert.equal(talk.said.length, 3, 'nothing is sent after stop');
  talk.hear({ type: 'done', event: 2, audio: 0.5, segments: 1, words: 1, timing: {} });
  assert.equal(talk.session.state, 'done');
  assert.equal(talk.session.nextDeadline(), null);
});

test('stop while the connection is broken resumes, sends the rest and stops', () => {
  const talk = new Talk().start().hear(READY).audio(1).close(1006);
  talk.do(talk.session.stop(talk.now)).clear().reconnect();
  talk.hear({ type: 'resumed', event: 1, frames: 0 });
  assert.deepEqual(talk.said.slice(1), [1, { type: 'stop' }]);
});

test('last words that do not come are given up after 10 s', () => {
  const talk = new Talk().start().hear(READY).audio(1);
  talk.do(talk.session.stop(talk.now)).wait(FINISH_MS);
  assert.equal(talk.told.find((event) => event.type === 'done').unfinished, true);
  assert.equal(talk.session.state, 'done');
  assert.deepEqual(talk.disconnects, [1000]);
});

test('a full server is tried again after the time it names', () => {
  const talk = new Talk().start();
  talk.hear({ type: 'error', event: 0, code: 'full', message: 'All 4 places are in use.', fatal: true, retry_after_s: 7 });
  talk.close(1013);
  assert.equal(talk.session.state, 'full');
  assert.equal(talk.session.nextDeadline(), 7000);
  talk.wait(7000);
  assert.equal(talk.connects, 2);
});

for (const [code, name] of [[1008, 'origin_refused'], [4400, 'bad_start'], [4401, 'key_missing'], [4410, 'taken_over']]) {
  test(`close ${code} ends the session as ${name}`, () => {
    const talk = new Talk().start().hear(READY).close(code);
    assert.equal(talk.session.state, 'failed');
    assert.equal(talk.told.find((event) => event.type === 'error').code, name);
    assert.equal(talk.session.nextDeadline(), null);
  });
}

test('the code of a fatal error is told, not only its close', () => {
  const talk = new Talk().start();
  talk.hear({ type: 'error', event: 0, code: 'unknown_language', message: 'No language "xx".', fatal: true }).close(4400);
  const error = talk.told.find((event) => event.type === 'error');
  assert.deepEqual([error.code, error.message], ['unknown_language', 'No language "xx".']);
});

test('a session the server forgot goes on as a new one: uncommitted audio again, on the same clock', () => {
  const talk = new Talk().start().hear(READY).audio(1).audio(2).audio(3);
  talk.hear({ type: 'ack', event: 2, received: 3, committed: 2 }).close(1006).reconnect();
  talk.clear().close(4404).reconnect();
  assert.deepEqual(talk.said, [{ type: 'start', codec: 'opus' }]);
  talk.hear({ ...READY, session: 'other' });
  assert.deepEqual(talk.said.slice(1), [3]);
  talk.hear({ type: 'final', event: 2, segment: 0, start: 0.1, end: 0.4, text: 'three' });
  const final = talk.told.find((event) => event.type === 'final');
  assert.equal(final.start, 1.1, 'messages 1 and 2 were one second');
  assert.equal(final.epoch, 1);
});

test('a container stream cannot be continued in a new session: what is lost is told', () => {
  const talk = new Talk({ codec: 'webm-opus' }).start().hear(READY).audio(1).audio(2).close(1006).reconnect();
  talk.clear().close(4404);
  assert.deepEqual(talk.told.filter((event) => event.type === 'gap'), [{ type: 'gap', start: 0, end: 1 }]);
  assert.equal(talk.told[0].container, true);
});

test('a server that goes away may say its last words; the audio since then is for the next one', () => {
  const talk = new Talk().start().hear(READY).audio(1).hear({ type: 'go_away', event: 2, reconnect_within_ms: 5000 });
  assert.equal(talk.session.state, 'reconnecting');
  assert.deepEqual(talk.disconnects, []);
  talk.clear().audio(2);
  assert.deepEqual(talk.said, []);
  talk.hear({ type: 'final', event: 3, segment: 0, start: 0, end: 1, text: 'one' });
  assert.equal(talk.told.at(-1).text, 'one');
  talk.close(1012);
  assert.ok(talk.session.nextDeadline() - talk.now <= BACKOFF_MS[0] * 1.2);
  talk.reconnect().hear({ type: 'resumed', event: 3, frames: 1, restored: true });
  assert.deepEqual(talk.said, [{ type: 'resume', session: 's', token: 't', last_event: 3 }, 2]);
});

test('a server that goes away and never closes is left when its time is over', () => {
  const talk = new Talk().start().hear(READY).hear({ type: 'go_away', event: 2, reconnect_within_ms: 5000 });
  assert.equal(talk.session.nextDeadline(), 5000);
  talk.wait(5000);
  assert.deepEqual(talk.disconnects, [4000]);
  talk.wait(0);
  assert.equal(talk.connects, 2);
});

test('a server that said it is being restarted is not called lost until it takes too long', () => {
  const talk = new Talk().start().hear(READY).hear({ type: 'go_away', event: 2, reconnect_within_ms: 5000 }).close(1012);
  const reason = () => talk.told.filter((event) => event.type === 'state').at(-1).reason;
  const tryAgain = () => {
    talk.now = talk.session.nextDeadline();
    talk.do(talk.session.advance(talk.now)).close(1006);
  };
  for (let i = 0; i < 4; i += 1) {
    tryAgain();
    assert.equal(reason(), 'go_away');
  }
  while (talk.now < 5000 + RESTART_MS) tryAgain();
  assert.equal(reason(), 'closed');
  talk.reconnect().hear({ type: 'resumed', event: 2, frames: 0, restored: true }).close(1006);
  assert.equal(reason(), 'closed');
});

test('a server that is down is tried again until it is there', () => {
  const talk = new Talk().start().hear(READY).audio(1).close(1006);
  for (let i = 0; i < 20; i += 1) {
    talk.now = talk.session.nextDeadline();
    talk.do(talk.session.advance(talk.now)).close(1006);
  }
  assert.equal(talk.session.state, 'reconnecting');
  assert.equal(talk.connects, 21);
  talk.reconnect().hear({ type: 'resumed', event: 1, frames: 0, restored: true });
  assert.equal(talk.session.state, 'open');
});

test('a restored session has taken less than the one before said', () => {
  const talk = new Talk().start().hear(READY).audio(1).audio(2).audio(3);
  talk.hear({ type: 'ack', event: 2, received: 3, committed: 1 }).close(1006).reconnect();
  talk.clear().hear({ type: 'resumed', event: 2, frames: 1, restored: true });
  assert.deepEqual(talk.said, [2, 3]);
  assert.equal(talk.session.unheard_s, 1);
  talk.clear().hear({ type: 'ack', event: 3, received: 3, committed: 1 });
  assert.equal(talk.session.unheard_s, 0);
});

test('stop while the server is started again waits longer for the last words', () => {
  const talk = new Talk().start().hear(READY).audio(1);
  talk.do(talk.session.stop(talk.now)).close(1006);
  while (talk.session.state === 'finishing' && talk.now < FINISH_MS) {
    talk.now = talk.session.nextDeadline();
    talk.do(talk.session.advance(talk.now)).close(1006);
  }
  talk.reconnect().clear().hear({ type: 'resumed', event: 1, frames: 0, restored: true });
  assert.deepEqual(talk.said, [1, { type: 'stop' }]);
  const never = new Talk().start().hear(READY).audio(1).close(1006);
  never.do(never.session.stop(never.now)).wait(FINISH_LOST_MS);
  assert.equal(never.session.state, 'done');
});

test('a full ring drops the oldest and tells the gap', () => {
  const talk = new Talk({ codec: 'opus' }, { ring: new FrameRing({ maxBytes: 2 }) }).start().hear(READY).close(1006);
  talk.clear().audio(1).audio(2).audio(3).audio(4);
  assert.deepEqual(talk.told.filter((event) => event.type === 'gap'), [
    { type: 'gap', start: 0, end: 0.5 },
    { type: 'gap', start: 0.5, end: 1 },
  ]);
});

test('unknown messages and broken JSON do no harm', () => {
  const talk = new Talk().start().hear(READY).clear();
  talk.do(talk.session.receiveText('{', 0)).do(talk.session.receiveText('null', 0)).hear({ type: 'news', event: 2 });
  assert.deepEqual(talk.told, [{ type: 'news', event: 2 }]);
});

test('no random order of drops, acks and resumes loses or doubles a message', () => {
  let seed = 7;
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed / 2147483648;
  };
  for (let round = 0; round < 200; round += 1) {
    const talk = new Talk().start().hear(READY);
    const heard = [];
    let taken = 0;
    let event = 1;
    let sent = 0;
    // What arrived: a server takes messages in order, and only what came before the break.
    const deliver = (share) => {
      const audio = talk.said.filter((item) => typeof item === 'number');
      const count = Math.floor(audio.length * share);
      heard.push(...audio.slice(0, count));
      taken += count;
      talk.clear();
    };
    for (let step = 0; step < 30; step += 1) {
      const dice = random();
      if (dice < 0.6) talk.audio((sent += 1));
      else if (dice < 0.8) {
        deliver(1);
        talk.hear({ type: 'ack', event: (event += 1), received: taken, committed: Math.floor(taken * random()) });
      } else {
        deliver(random());
        talk.close(1006).audio((sent += 1)).clear().reconnect();
        talk.clear().hear({ type: 'resumed', event, frames: taken });
      }
    }
    deliver(1);
    assert.deepEqual(heard, Array.from({ length: sent }, (_, i) => i + 1), `round ${round}`);
  }
});
