/**
 * From a source to audio messages. The main path is an AudioWorklet, 16 kHz, into Opus (or PCM); where there is no
 * AudioWorklet, MediaRecorder.
 *
 * Events: 'message' {bytes, duration_s} · 'level' {db} about 12 times a second · 'muted' · 'unmuted' ·
 * 'ended' {label, stream}: the source was unplugged or taken back · 'broken' {message}: the encoder gave up.
 */

import { makeEncoder, SAMPLE_RATE } from './encoders.js';
import { RecorderMessages } from './recorder.js';
import { Resampler } from './resampler.js';

const WORKLET = new URL('./pcm-worklet.js', import.meta.url);
const LEVEL_SAMPLES = SAMPLE_RATE / 12;
const SILENCE_DB = -100;

export class Capture extends EventTarget {
  /**
   * Start to record.
   * @param {MediaStream[]} streams mixed into one channel
   * @param {{codec?: 'opus' | 'pcm_s16le' | 'webm-opus'}} [wish]
   */
  static async start(streams, { codec } = {}) {
    const capture = new Capture();
    capture.context = openContext();
    await capture.context.resume();
    if (codec === 'webm-opus' || !capture.context.audioWorklet) capture._record();
    else await capture._tap(codec);
    for (const stream of streams) capture.add(stream);
    return capture;
  }

  constructor() {
    super();
    /** @type {AudioContext} */
    this.context = null;
    /** Fields of the `start` message. */
    this.format = {};
    /** @type {Map<MediaStream, MediaStreamAudioSourceNode>} */
    this.sources = new Map();
    this.measured = { sum: 0, count: 0 };
  }

  /** Hear this stream too. @param {MediaStream} stream */
  add(stream) {
    const node = this.context.createMediaStreamSource(stream);
    node.connect(this.input);
    this.sources.set(stream, node);
    for (const track of stream.getAudioTracks()) {
      track.addEventListener('ended', () => this._tell('ended', { label: track.label, stream }));
      track.addEventListener('mute', () => this._tell('muted', { label: track.label }));
      track.addEventListener('unmute', () => this._tell('unmuted', { label: track.label }));
    }
  }

  /** Hear this stream no more. @param {MediaStream} stream */
  remove(stream) {
    this.sources.get(stream)?.disconnect();
    this.sources.delete(stream);
    for (const track of stream.getTracks()) track.stop();
  }

  /** Let go of sources that have ended. */
  dropEnded() {
    for (const stream of [...this.sources.keys()]) {
      if (stream.getAudioTracks().every((track) => track.readyState === 'ended')) this.remove(stream);
    }
  }

  /** What the sources call themselves. */
  get label() {
    return [...this.sources.keys()].flatMap((stream) => stream.getAudioTracks().map((track) => track.label)).join(' + ');
  }

  /** Stop; what was recorded comes out as messages before this is done. */
  async stop() {
    if (this.tap) {
      await new Promise((resolve) => {
        this.ended = resolve;
        this.tap.port.postMessage('end');
        setTimeout(resolve, 500);
      });
      this.tap.disconnect();
    }
    await this.encoder?.flush();
    this.encoder?.close();
    for (const stream of [...this.sources.keys()]) this.remove(stream);
    await this.context.close();
  }

  /** A new header for a new session; only a recorder needs it. */
  restart() {
    if (this.encoder instanceof RecorderMessages) this.encoder.restart();
  }

  async _tap(codec) {
    await this.context.audioWorklet.addModule(WORKLET);
    this.encoder = await makeEncoder((bytes, duration_s) => this._tell('message', { bytes, duration_s }), { codec });
    this.format = { codec: this.encoder.codec, sample_rate: this.encoder.sampleRate, channels: 1 };
    this.resampler = new Resampler(this.context.sampleRate, SAMPLE_RATE);
    this.tap = new AudioWorkletNode(this.context, 'pcm-tap', {
      numberOfInputs: 1,
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: 'explicit',
    });
    this.tap.port.onmessage = ({ data }) => {
      if (data === null) {
        this.ended?.();
        return;
      }
      const samples = this.resampler.process(data);
      this._measure(samples);
      this.encoder.push(samples);
      if (this.encoder.failed) this._tellBroken();
    };
    this.input = this.tap;
  }

  /** An Opus encoder that breaks in the middle cannot be replaced within a session: the application is told. */
  _tellBroken() {
    const error = this.encoder.failed;
    this.encoder.failed = null;
    this._tell('broken', { message: String(error?.message ?? error) });
  }

  _record() {
    const mixer = this.context.createMediaStreamDestination();
    this.input = mixer;
    this.encoder = new RecorderMessages(mixer.stream, (bytes, duration_s) => this._tell('message', { bytes, duration_s }));
    this.format = { codec: this.encoder.codec };
    const analyser = this.context.createAnalyser();
    analyser.fftSize = 2048;
    this.context.createMediaStreamSource(mixer.stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    this.meter = setInterval(() => {
      if (this.context.state === 'closed') clearInterval(this.meter);
      analyser.getFloatTimeDomainData(samples);
      this._tell('level', { db: decibels(samples.reduce((sum, x) => sum + x * x, 0) / samples.length) });
    }, 80);
  }

  _measure(samples) {
    for (const x of samples) this.measured.sum += x * x;
    this.measured.count += samples.length;
    if (this.measured.count < LEVEL_SAMPLES) return;
    this._tell('level', { db: decibels(this.measured.sum / this.measured.count) });
    this.measured = { sum: 0, count: 0 };
  }

  _tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

/** A context at 16 kHz if the browser can connect a device to it, else at the device's own rate. */
function openContext() {
  // Firefox makes such a context but then refuses to connect a microphone of another rate (Mozilla bug 1674892).
  const sampleRate = /firefox/i.test(navigator.userAgent) ? undefined : SAMPLE_RATE;
  try {
    return new AudioContext({ sampleRate, latencyHint: 'interactive' });
  } catch {
    return new AudioContext();
  }
}

/** dBFS of a mean square. */
function decibels(power) {
  return power > 0 ? Math.max(SILENCE_DB, 10 * Math.log10(power)) : SILENCE_DB;
}
