/**
 * The client's side of `/ws/stream`, protocol 1, as a state machine: no socket, no clock, no audio device.
 *
 * It is told what happened (`receive…`, with `now` in milliseconds) and returns what to do:
 *   {do: 'connect'}            open a WebSocket and report it with receiveOpen / receiveClose
 *   {do: 'send', data}         send text or bytes
 *   {do: 'disconnect', code}   close the WebSocket: 1000 when the session is over, 4000 when it goes on in another one
 *   {do: 'emit', event}        tell the application; event.type is a message type of the protocol or one of
 *                              'state' (state, reason), 'restarted' (offset), 'gap' (start, end)
 *
 * States:
 *   idle ──start──▶ connecting ──ready──▶ open ──stop──▶ finishing ──done──▶ done
 *                       ▲  ▲               │ socket lost, or nothing heard for 12 s
 *                  full ┘  └─ reconnecting ◀┘
 *   Any state but done ──fatal error──▶ failed.
 *
 * Every audio message stays in the ring until the server says it is committed. A connection that breaks is resumed
 * with the session's token; the server names the message to go on from. A server that goes away finishes what it was
 * working on and closes; the next one goes on from its checkpoint, and text that was not final comes again. If no
 * server knows the session any more, a new one begins with what is still in the ring, on the same clock.
 */

import { FrameRing } from './frame-ring.js';
import { Watch } from './watch.js';

/** ms that a connection may take until `ready` or `resumed`: loading a model takes long. */
export const CONNECT_MS = 120_000;
/** ms from stop to giving up on the last words. */
export const FINISH_MS = 10_000;
/** The same where the connection is lost, and the server perhaps being started again. */
export const FINISH_LOST_MS = 30_000;
/** ms in which a server that said it goes away is expected back; after that the connection counts as lost. */
export const RESTART_MS = 30_000;
/** Waits before the 1st, 2nd, … try to reconnect, in ms; each ±20 %. */
export const BACKOFF_MS = [500, 1000, 2000, 4000, 10_000];

/** Close codes after which trying again makes no sense. */
const FATAL_CLOSES = new Map([
  [1003, 'undecodable_audio'],
  [1008, 'origin_refused'],
  [1009, 'message_too_big'],
  [4400, 'bad_start'],
  [4401, 'key_missing'],
  [4410, 'taken_over'],
]);
/** Our own codes: nobody comes back; the session goes on with another connection. */
const OVER = 1000;
const COMING_BACK = 4000;
const GOING_AWAY = 1012;
const FULL = 1013;
const UNKNOWN_SESSION = 4404;
/** Codecs whose stream has a header at its beginning only: a new session needs a new recording. */
const CONTAINERS = new Set(['ogg-opus', 'webm-opus', undefined]);

/** @typedef {{do: 'connect'} | {do: 'disconnect'} | {do: 'send', data: string | Uint8Array} | {do: 'emit', event: object}} Action */

export class StreamSession {
  /**
   * @param {object} options fields of the `start` message: language, task, model, codec, sample_rate, …
   * @param {{random?: () => number, ring?: FrameRing, offset_s?: number}} [parts] `offset_s`: when, on the
   *   application's clock, this session begins
   */
  constructor(options, { random = Math.random, ring = new FrameRing(), offset_s = 0 } = {}) {
    this.options = options;
    this.state = 'idle';
    this.ring = ring;
    this.session = null;
    this.token = null;
    this.lastEvent = 0;
    /** Messages the server has said it took. */
    this.received = 0;
    /** Seconds of the application's clock at which the session's clock began. */
    this.offset_s = offset_s;
    /** Rises with each new session, so that segment numbers of different sessions stay apart. */
    this.epoch = 0;
    this.random = random;
    this.attempts = 0;
    this.connected = false;
    this.ready = false;
    this.stopping = false;
    this.sent = 0;
    this.watch = new Watch();
    this.connectAt = null;
    this.connectBy = null;
    /** The server goes away: until when it may take its time to close. */
    this.awayBy = null;
    /** It said so: until when it is expected back. */
    this.backBy = 0;
    this.finishBy = null;
    this.retryAfter_s = null;
    this.lastError = null;
  }

  /** @param {number} now @returns {Action[]} */
  start(now) {
    if (this.state !== 'idle') return [];
    return [this._to('connecting'), ...this._connect(now)];
  }

  /** One audio message. @param {Uint8Array} bytes @param {number} duration_s @param {number} now @returns {Action[]} */
  sendAudio(bytes, duration_s, now) {
    if (this.stopping || ['done', 'failed'].includes(this.state)) return [];
    const lost = this.ring.lost_s;
    const frame = this.ring.push(bytes, duration_s);
    const actions = [];
    if (this.ring.lost_s > lost) {
      const end = this.offset_s + this.ring.frames[0].start;
      actions.push(emit({ type: 'gap', start: end - (this.ring.lost_s - lost), end }));
    }
    if (this.ready) actions.push(...this._send(frame, now));
    return actions;
  }

  /** Make what was said so far final now. @returns {Action[]} */
  flush() {
    return this.ready ? [message({ type: 'flush' })] : [];
  }

  /** No more audio; the last words are waited for. @param {number} now @returns {Action[]} */
  stop(now) {
    if (this.stopping || ['idle', 'done', 'failed'].includes(this.state)) return [];
    this.stopping = true;
    this.finishBy = now + (this.ready ? FINISH_MS : FINISH_LOST_MS);
    if (!this.session && !this.ring.frames.length) return this._end({ type: 'done', audio: 0, segments: 0, words: 0 });
    const actions = [this._to('finishing')];
    if (this.ready) actions.push(message({ type: 'stop' }));
    return actions;
  }

  /** The socket is open. @param {number} now @returns {Action[]} */
  receiveOpen(now) {
    this.connected = true;
    this.connectBy = now + CONNECT_MS;
    if (this.session) {
      return [message({ type: 'resume', session: this.session, token: this.token, last_event: this.lastEvent })];
    }
    return [message({ type: 'start', ...this.options })];
  }

  /** A text message came. @param {string} text @param {number} now @returns {Action[]} */
  receiveText(text, now) {
    let event;
    try {
      event = JSON.parse(text);
    } catch {
      return [];
    }
    if (event === null || typeof event !== 'object' || typeof event.type !== 'string') return [];
    const answered = this.watch.heard(now) ? [this._to(this.state)] : [];
    // A resumed session repeats what may have been seen. What is said to the connection and not to the session has
    // no number of its own.
    if (!['resumed', 'error'].includes(event.type) && typeof event.event === 'number') {
      if (event.event <= this.lastEvent && this.session) return answered;
      this.lastEvent = event.event;
    }
    return [...answered, ...this._receive(event, now)];
  }

  _receive(event, now) {
    switch (event.type) {
      case 'ready':
        return this._receiveReady(event, now);
      case 'resumed':
        return this._receiveResumed(event, now);
      case 'ack':
        return this._receiveAck(event, now);
      case 'done':
        return this._end(event);
      case 'go_away':
        return this._receiveGoAway(event, now);
      case 'error':
        return this._receiveError(event);
      case 'speech':
        return [emit({ ...event, at: event.at + this.offset_s })];
      case 'partial':
      case 'final':
        return [emit(this._placed(event))];
      default:
        return [emit(event)];
    }
  }

  /** The socket closed, or never opened. @param {number} code @param {number} now @returns {Action[]} */
  receiveClose(code, now) {
    if (['done', 'failed', 'idle'].includes(this.state) || this.connectAt !== null) return [];
    if (code === UNKNOWN_SESSION && this.session) return this._restart(now);
    if (code === FULL) return this._full(now);
    if (FATAL_CLOSES.has(code)) return this._fail(this.lastError?.code ?? FATAL_CLOSES.get(code), this.lastError?.message);
    if (this.lastError?.fatal && code < 1006) return this._fail(this.lastError.code, this.lastError.message);
    if (code === GOING_AWAY) this.backBy = now + RESTART_MS;
    return this._lost(now, now < this.backBy ? 'go_away' : 'closed');
  }

  /** The network is there again: do not wait for the next try. @param {number} now @returns {Action[]} */
  receiveOnline(now) {
    if (this.connectAt === null) return [];
    this.connectAt = now;
    return this.advance(now);
  }

  /** Let time pass. @param {number} now @returns {Action[]} */
  advance(now) {
    const actions = [];
    if (this.finishBy !== null && now >= this.finishBy && this.state === 'finishing') {
      return this._end({ type: 'done', unfinished: true });
    }
    if (this.connectAt !== null && now >= this.connectAt) actions.push(...this._connect(now));
    if (this.connected && !this.ready && this.connectBy !== null && now >= this.connectBy) {
      actions.push(...this._abandon(now, 'timeout'));
    } else if (this.awayBy !== null && now >= this.awayBy) {
      actions.push(...this._abandon(now, 'go_away', 0));
    } else {
      const verdict = this.watch.judge(now);
      if (verdict === 'dead') actions.push(...this._abandon(now, 'no_answer', 0));
      if (verdict === 'stalled') actions.push(this._to(this.state, 'no_answer'));
    }
    return actions;
  }

  /** When `advance` has something to do next, or null. @returns {number | null} */
  nextDeadline() {
    const times = [this.connectAt, this.awayBy, this.watch.nextDeadline()];
    if (this.state === 'finishing') times.push(this.finishBy);
    if (this.connected && !this.ready) times.push(this.connectBy);
    const known = times.filter((time) => time !== null && time !== Infinity);
    return known.length ? Math.min(...known) : null;
  }

  /** Seconds of audio that the server has not taken yet. */
  get unheard_s() {
    return this.ring.from(this.received).reduce((sum, frame) => sum + frame.duration_s, 0);
  }

  _receiveReady(event, now) {
    this.session = event.session;
    this.token = event.token;
    this.watch.heartbeat_ms = (event.heartbeat_s ?? 10) * 1000;
    const actions = [emit(event)];
    return [...actions, ...this._go(this.ring.first, now)];
  }

  _receiveResumed(event, now) {
    const actions = [emit(event)];
    if (this.ring.first > event.frames) {
      const end = this.offset_s + (this.ring.frames[0]?.start ?? this.ring.clock_s);
      actions.push(emit({ type: 'gap', start: end - this.ring.lost_s, end }));
    }
    // Less than before where the server was started again and goes on from its checkpoint.
    this.received = event.frames;
    return [...actions, ...this._go(event.frames, now)];
  }

  /** Connected and understood: send what waits, from message number `from` on. */
  _go(from, now) {
    this.ready = true;
    this.attempts = 0;
    this.connectBy = null;
    this.lastError = null;
    this.sent = from;
    this.backBy = 0;
    this.watch.start(now);
    const actions = [this._to(this.stopping ? 'finishing' : 'open')];
    for (const frame of this.ring.from(from)) actions.push(...this._send(frame, now));
    if (this.stopping) {
      this.finishBy = now + FINISH_MS;
      actions.push(message({ type: 'stop' }));
    }
    return actions;
  }

  /** The server shuts down: it still tells what it knows, and takes no more audio. The next one takes that. */
  _receiveGoAway(event, now) {
    this.ready = false;
    this.watch.stop();
    this.connectBy = null;
    this.awayBy = now + (event.reconnect_within_ms ?? 5000);
    this.backBy = this.awayBy + RESTART_MS;
    if (this.stopping) this.finishBy = Math.max(this.finishBy, now + FINISH_LOST_MS);
    return [emit(event), this._to(this.stopping ? 'finishing' : 'reconnecting', 'go_away')];
  }

  _receiveAck(event, now) {
    this.received = event.received;
    this.ring.commit(event.committed);
    this.watch.acknowledged(this.received >= this.sent, now);
    return [emit(event)];
  }

  _receiveError(event) {
    if (event.fatal) this.lastError = event;
    this.retryAfter_s = event.retry_after_s ?? event.retry_after ?? null;
    return event.fatal ? [] : [emit(event)];
  }

  _send(frame, now) {
    this.sent = frame.number + 1;
    this.watch.sent(now);
    return [{ do: 'send', data: frame.bytes }];
  }

  _connect(now) {
    this.connectAt = null;
    this.connected = false;
    this.ready = false;
    this.watch.stop();
    this.awayBy = null;
    this.connectBy = now + CONNECT_MS;
    return [{ do: 'connect' }];
  }

  /** The connection is of no use any more, the session is. */
  _abandon(now, reason, wait_ms = null) {
    return [{ do: 'disconnect', code: COMING_BACK }, ...this._lost(now, reason, wait_ms)];
  }

  _lost(now, reason, wait_ms = null) {
    const steady = BACKOFF_MS[Math.min(this.attempts, BACKOFF_MS.length - 1)];
    this.attempts += 1;
    this.connected = false;
    this.ready = false;
    this.watch.stop();
    this.awayBy = null;
    // Once: a server that never comes back is not waited for without end.
    if (this.stopping && this.finishBy !== null && this.attempts === 1) {
      this.finishBy = Math.max(this.finishBy, now + FINISH_LOST_MS);
    }
    this.connectAt = now + (wait_ms ?? steady * (0.8 + 0.4 * this.random()));
    if (this.stopping) return [this._to('finishing', reason)];
    return [this._to(this.session ? 'reconnecting' : 'connecting', reason)];
  }

  _full(now) {
    const wait_s = this.retryAfter_s ?? 5;
    const actions = this._lost(now, 'full', wait_s * 1000);
    if (!this.stopping) actions[0] = this._to('full', this.lastError?.message, { retry_after_s: wait_s });
    this.lastError = null;
    return actions;
  }

  /** The server has forgotten the session: begin a new one with the audio that is not text yet. */
  _restart(now) {
    let lost = 0;
    if (CONTAINERS.has(this.options.codec)) lost = this.ring.clear();
    const end = this.offset_s + this.ring.clock_s;
    this.offset_s += this.ring.renumber();
    this.epoch += 1;
    this.session = null;
    this.token = null;
    this.lastEvent = 0;
    this.received = 0;
    this.lastError = null;
    const actions = [emit({ type: 'restarted', offset: this.offset_s, container: CONTAINERS.has(this.options.codec) })];
    if (lost > 0) actions.push(emit({ type: 'gap', start: end - lost, end }));
    return [...actions, ...this._lost(now, 'forgotten', 0)];
  }

  _fail(code, text) {
    this.state = 'failed';
    this.ready = false;
    this.watch.stop();
    this.connectAt = null;
    this.awayBy = null;
    return [
      { do: 'disconnect', code: OVER },
      emit({ type: 'error', code, message: text ?? '', fatal: true }),
      this._to('failed', code),
    ];
  }

  _end(event) {
    this.ready = false;
    this.watch.stop();
    this.connectAt = null;
    this.awayBy = null;
    this.finishBy = null;
    return [emit(event), { do: 'disconnect', code: OVER }, this._to('done')];
  }

  /** Times of a message on the application's clock, and the epoch it belongs to. */
  _placed(event) {
    return { ...event, start: event.start + this.offset_s, end: event.end + this.offset_s, epoch: this.epoch };
  }

  _to(state, reason = null, more = {}) {
    this.state = state;
    return emit({ type: 'state', state, reason, ...more });
  }
}

/** @param {object} event @returns {Action} */
const emit = (event) => ({ do: 'emit', event });

/** @param {object} body @returns {Action} */
const message = (body) => ({ do: 'send', data: JSON.stringify(body) });
