/**
 * 16 kHz samples to audio messages of 500 ms: Opus where the browser has an encoder, else 16-bit PCM.
 * Both give the same three things: `codec`, `push(samples)` and `flush()`; messages come out through `onMessage`.
 */

import { PacketFramer } from './packets.js';

export const SAMPLE_RATE = 16_000;
const MESSAGE_SAMPLES = SAMPLE_RATE / 2;
const BITRATE = 24_000;

/** @typedef {(bytes: Uint8Array, duration_s: number) => void} OnMessage */

const OPUS = {
  codec: 'opus',
  sampleRate: SAMPLE_RATE,
  numberOfChannels: 1,
  bitrate: BITRATE,
  opus: { frameDuration: 20_000, application: 'voip' },
};

/**
 * The best encoder this browser has.
 * @param {OnMessage} onMessage
 * @param {{codec?: 'opus' | 'pcm_s16le'}} [wish]
 */
export async function makeEncoder(onMessage, { codec } = {}) {
  const config = codec === 'pcm_s16le' ? null : await opusConfig();
  return config ? new OpusMessages(onMessage, config) : new PcmMessages(onMessage);
}

/** A configuration the browser's Opus encoder takes, or null. Older ones refuse the `application` field. */
async function opusConfig() {
  if (typeof AudioEncoder === 'undefined') return null;
  for (const config of [OPUS, { ...OPUS, opus: { frameDuration: 20_000 } }]) {
    try {
      const answer = await AudioEncoder.isConfigSupported(config);
      if (answer.supported) return config;
    } catch {
      // A field it does not know: try with fewer.
    }
  }
  return null;
}

export class OpusMessages {
  /** @param {OnMessage} onMessage @param {AudioEncoderConfig} config */
  constructor(onMessage, config) {
    this.codec = 'opus';
    this.sampleRate = SAMPLE_RATE;
    this.onMessage = onMessage;
    this.framer = new PacketFramer();
    this.position = 0;
    this.failed = null;
    this.encoder = new AudioEncoder({
      output: (chunk) => this._take(chunk),
      error: (error) => {
        this.failed = error;
      },
    });
    this.encoder.configure(config);
  }

  /** @param {Float32Array} samples */
  push(samples) {
    if (!samples.length || this.encoder.state !== 'configured') return;
    const data = new AudioData({
      format: 'f32-planar',
      sampleRate: SAMPLE_RATE,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp: Math.round((this.position / SAMPLE_RATE) * 1e6),
      data: samples,
    });
    this.position += samples.length;
    this.encoder.encode(data);
    data.close();
  }

  /** Everything pushed so far becomes messages. */
  async flush() {
    if (this.encoder.state === 'configured') await this.encoder.flush();
    const rest = this.framer.flush();
    if (rest) this.onMessage(rest.bytes, rest.duration_s);
  }

  close() {
    if (this.encoder.state !== 'closed') this.encoder.close();
  }

  _take(chunk) {
    const packet = new Uint8Array(chunk.byteLength);
    chunk.copyTo(packet);
    const full = this.framer.push(packet);
    if (full) this.onMessage(full.bytes, full.duration_s);
  }
}

export class PcmMessages {
  /** @param {OnMessage} onMessage */
  constructor(onMessage) {
    this.codec = 'pcm_s16le';
    this.sampleRate = SAMPLE_RATE;
    this.onMessage = onMessage;
    this.buffer = new Int16Array(MESSAGE_SAMPLES);
    this.filled = 0;
    this.failed = null;
  }

  /** @param {Float32Array} samples */
  push(samples) {
    for (const sample of samples) {
      this.buffer[this.filled] = Math.round(Math.max(-1, Math.min(1, sample)) * 32767);
      this.filled += 1;
      if (this.filled === MESSAGE_SAMPLES) this._send();
    }
  }

  /** Everything pushed so far becomes a message. */
  async flush() {
    if (this.filled) this._send();
  }

  close() {}

  _send() {
    // The wire is little-endian, and so is every machine a browser runs on.
    const bytes = new Uint8Array(this.buffer.slice(0, this.filled).buffer);
    this.onMessage(bytes, this.filled / SAMPLE_RATE);
    this.filled = 0;
  }
}
