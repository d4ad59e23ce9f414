/**
 * MediaRecorder, where there is no AudioWorklet. Its blobs are slices of one byte stream with one header: they are
 * sent as they come, and a new session needs a new recorder.
 */

const TYPES = [
  ['audio/webm;codecs=opus', 'webm-opus'],
  ['audio/ogg;codecs=opus', 'ogg-opus'],
];
const SLICE_MS = 500;
const BITRATE = 32_000;
/** The server takes 1 MiB; a computer that wakes from sleep may hand over one huge slice. */
const MAX_MESSAGE = 512 * 1024;

export class RecorderMessages {
  /** @param {MediaStream} stream @param {(bytes: Uint8Array, duration_s: number) => void} onMessage */
  constructor(stream, onMessage) {
    const known = TYPES.find(([type]) => globalThis.MediaRecorder?.isTypeSupported(type));
    if (!known) throw new Error('This browser can record neither Opus nor PCM.');
    [this.type, this.codec] = known;
    this.failed = null;
    this.stream = stream;
    this.onMessage = onMessage;
    this.pending = Promise.resolve();
    this._begin();
  }

  /** Stop and wait for the last slice. */
  async flush() {
    if (this.recorder.state !== 'inactive') {
      await new Promise((resolve) => {
        this.recorder.addEventListener('stop', resolve, { once: true });
        this.recorder.stop();
      });
    }
    await this.pending;
  }

  close() {}

  /** A new stream with a header of its own. */
  restart() {
    this.recorder.ondataavailable = null;
    this.recorder.stop();
    this._begin();
  }

  _begin() {
    const recorder = new MediaRecorder(this.stream, { mimeType: this.type, audioBitsPerSecond: BITRATE });
    recorder.ondataavailable = ({ data }) => {
      // Blobs are read asynchronously: one after the other, or they could change places.
      this.pending = this.pending.then(async () => this._send(new Uint8Array(await data.arrayBuffer())));
    };
    recorder.start(SLICE_MS);
    this.recorder = recorder;
  }

  _send(bytes) {
    const pieces = Math.ceil(bytes.length / MAX_MESSAGE);
    for (let i = 0; i < pieces; i += 1) {
      this.onMessage(bytes.subarray(i * MAX_MESSAGE, (i + 1) * MAX_MESSAGE), SLICE_MS / 1000 / pieces);
    }
  }
}
