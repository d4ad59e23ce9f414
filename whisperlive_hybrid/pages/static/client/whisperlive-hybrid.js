/**
 * Live captions from a WhisperLive Hybrid server in a browser.
 *
 *   import { LiveSession } from './whisperlive-hybrid.js';
 *
 *   const session = new LiveSession('wss://host/ws/stream', { language: 'en' });
 *   session.addEventListener('final', ({ detail }) => console.log(detail.text));
 *   await session.listen();            // asks for the microphone; call it from a click
 *   …
 *   await session.stop();              // waits for the last words
 *   console.log(session.transcript.text());
 *
 * Every message of the protocol is an event of its type; `event.detail` is the message. Besides those: 'state'
 * (state, reason), 'text' (segments that changed), 'level' (db), 'gap' (start, end), 'restarted', and 'source-muted',
 * 'source-unmuted', 'source-ended', 'source-broken' of the source.
 * `for await (const message of session)` gives the same messages in order, until the session is over.
 */

import { Capture } from './capture.js';
import { openDisplayAudio, openMicrophone, SourceError } from './sources.js';
import { StreamSession } from './stream-session.js';
import { Transcript } from './transcript.js';

export { SourceError, StreamSession, Transcript };
export { displayAudioSupported, microphones, openDisplayAudio, openMicrophone } from './sources.js';
export { cues, srt, vtt } from './subtitles.js';

/** The address of a server's live wire. @param {string} server http(s) or ws(s) address, with or without a path */
export function streamUrl(server) {
  const url = new URL(server, globalThis.location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  if (url.pathname === '/' || url.pathname === '') url.pathname = '/ws/stream';
  return url.href;
}

export class LiveSession extends EventTarget {
  /**
   * @param {string} url address of the server or of its `/ws/stream`
   * @param {object} [options] fields of the protocol's `start` message: language, task, model, prompt, hotwords, words, vad
   * @param {{apiKey?: string, transcript?: Transcript, offset_s?: number, WebSocket?: typeof WebSocket}} [parts]
   *   a transcript that goes on, and the time at which it does
   */
  constructor(url, options = {}, parts = {}) {
    super();
    const { apiKey, transcript = new Transcript(), offset_s = 0, WebSocket: Socket = globalThis.WebSocket } = parts;
    this.url = new URL(streamUrl(url));
    if (apiKey) this.url.searchParams.set('token', apiKey);
    this.options = options;
    this.transcript = transcript;
    this.offset_s = offset_s;
    this.Socket = Socket;
    /** @type {StreamSession | null} */
    this.protocol = null;
    this.capture = null;
    this.socket = null;
    this.timer = null;
    this.finished = new Promise((resolve, reject) => Object.assign(this, { _finish: resolve, _failed: reject }));
    this.finished.catch(() => {});
    this._online = () => this._do(this.protocol?.receiveOnline(performance.now()) ?? []);
  }

  /** idle, connecting, open, full, reconnecting, finishing, done or failed. */
  get state() {
    return this.protocol?.state ?? 'idle';
  }

  /**
   * Open the sources and caption them. Raises SourceError where a source cannot be had.
   * @param {{microphone?: boolean | object, display?: boolean, codec?: 'opus' | 'pcm_s16le' | 'webm-opus', streams?: MediaStream[]}} [what]
   */
  async listen({ microphone = true, display = false, codec, streams = [] } = {}) {
    const opened = [...streams];
    try {
      // The display first: its dialog must follow the click at once.
      if (display) opened.push(await openDisplayAudio());
      if (microphone) opened.push(await openMicrophone(microphone === true ? {} : microphone));
      this.capture = await Capture.start(opened, { codec });
    } catch (error) {
      for (const stream of opened) for (const track of stream.getTracks()) track.stop();
      throw error;
    }
    this.capture.addEventListener('message', ({ detail }) => this.send(detail.bytes, detail.duration_s));
    for (const type of ['level', 'muted', 'unmuted', 'ended', 'broken']) {
      this.capture.addEventListener(type, ({ detail }) => this._tell({ type: type === 'level' ? type : `source-${type}`, ...detail }));
    }
    this.open(this.capture.format);
  }

  /** Connect without a source; audio then comes through `send`. @param {object} [format] codec, sample_rate, channels */
  open(format = {}) {
    this.protocol = new StreamSession({ ...this.options, ...format }, { offset_s: this.offset_s });
    globalThis.addEventListener?.('online', this._online);
    this._do(this.protocol.start(performance.now()));
  }

  /** One message of encoded audio. @param {Uint8Array} bytes @param {number} duration_s */
  send(bytes, duration_s) {
    this._do(this.protocol?.sendAudio(bytes, duration_s, performance.now()) ?? []);
  }

  /** Hear another microphone in place of those that ended. Returns its name. @param {object} [wish] */
  async replaceMicrophone(wish = {}) {
    if (!this.capture) throw new SourceError('none', 'Nothing is being recorded.');
    const stream = await openMicrophone(wish);
    this.capture.add(stream);
    this.capture.dropEnded();
    return this.capture.label;
  }

  /** Make what was said so far final now. */
  flush() {
    this._do(this.protocol?.flush() ?? []);
  }

  /** Stop recording and wait for the last words. Returns the `done` message; `unfinished` if they did not come. */
  async stop() {
    const capture = this.capture;
    this.capture = null;
    await capture?.stop();
    this._do(this.protocol?.stop(performance.now()) ?? []);
    return this.finished;
  }

  /** All messages until the session is over. */
  async *[Symbol.asyncIterator]() {
    const queue = [];
    let wake = () => {};
    const take = ({ detail }) => {
      queue.push(detail);
      wake();
    };
    this.addEventListener('message', take);
    try {
      for (;;) {
        while (queue.length) {
          const message = queue.shift();
          yield message;
          if (message.type === 'state' && ['done', 'failed'].includes(message.state)) return;
        }
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.removeEventListener('message', take);
    }
  }

  _do(actions) {
    for (const action of actions) {
      if (action.do === 'emit') this._receive(action.event);
      else if (action.do === 'connect') this._connect();
      else if (action.do === 'disconnect') this._disconnect(action.code);
      else if (this.socket?.readyState === this.Socket.OPEN) this.socket.send(action.data);
    }
    clearTimeout(this.timer);
    const at = this.protocol?.nextDeadline() ?? null;
    if (at !== null) {
      const wait = Math.max(0, at - performance.now());
      this.timer = setTimeout(() => this._do(this.protocol.advance(performance.now())), wait);
    }
  }

  _connect() {
    this._disconnect();
    const socket = new this.Socket(this.url);
    socket.binaryType = 'arraybuffer';
    const still = (act) => (event) => {
      if (this.socket === socket) this._do(act(event, performance.now()));
    };
    socket.onopen = still((_, now) => this.protocol.receiveOpen(now));
    socket.onmessage = still(({ data }, now) => (typeof data === 'string' ? this.protocol.receiveText(data, now) : []));
    socket.onclose = still(({ code }, now) => this.protocol.receiveClose(code, now));
    this.socket = socket;
  }

  /** @param {number} [code] 1000 tells the server that nobody comes back */
  _disconnect(code = 4000) {
    const socket = this.socket;
    this.socket = null;
    socket?.close(code);
  }

  _receive(event) {
    const changed = this.transcript.receive(event);
    if (event.type === 'restarted' && event.container) this.capture?.restart();
    this._tell(event);
    if (changed.length) this._tell({ type: 'text', segments: changed });
    if (event.type === 'done') this._close(() => this._finish(event));
    if (event.type === 'error' && event.fatal) {
      this._close(() => this._failed(Object.assign(new Error(event.message || event.code), { code: event.code })));
    }
  }

  _close(settle) {
    globalThis.removeEventListener?.('online', this._online);
    const capture = this.capture;
    this.capture = null;
    // A session the server ended takes its microphone with it.
    Promise.resolve(capture?.stop()).finally(settle);
  }

  _tell(event) {
    this.dispatchEvent(new CustomEvent(event.type, { detail: event }));
    if (event.type !== 'level') this.dispatchEvent(new CustomEvent('message', { detail: event }));
  }
}
