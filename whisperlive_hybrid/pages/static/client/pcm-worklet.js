/** Runs on the audio thread: puts its blocks of 128 samples together and posts about 25 messages a second. */

const BATCH_S = 0.04;

class PcmTap extends AudioWorkletProcessor {
  constructor() {
    super();
    this.batch = new Float32Array(Math.ceil((sampleRate * BATCH_S) / 128) * 128);
    this.filled = 0;
    this.running = true;
    this.port.onmessage = () => {
      // Asked to end: what is there goes out now, so that no sample of the last word is missing.
      this._post();
      this.port.postMessage(null);
      this.running = false;
    };
  }

  process([input]) {
    const block = input[0];
    // A paused source gives no channel at all; silence keeps the clock running.
    const length = block ? block.length : 128;
    if (block) this.batch.set(block, this.filled);
    else this.batch.fill(0, this.filled, this.filled + length);
    this.filled += length;
    if (this.filled + 128 > this.batch.length) this._post();
    return this.running;
  }

  _post() {
    if (!this.filled) return;
    const samples = this.batch.slice(0, this.filled);
    this.filled = 0;
    this.port.postMessage(samples, [samples.buffer]);
  }
}

registerProcessor('pcm-tap', PcmTap);
