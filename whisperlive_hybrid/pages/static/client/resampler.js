/**
 * Any sample rate to 16 kHz, block by block, with a running position: no sample is gained or lost at block borders.
 * Needed where a browser cannot open an audio context at 16 kHz for the device. A windowed sinc of 32 taps.
 */

const HALF = 16;

export class Resampler {
  /** @param {number} from Hz @param {number} [to] Hz */
  constructor(from, to = 16_000) {
    this.step = from / to;
    this.cutoff = Math.min(1, to / from) * 0.92;
    /** Samples not yet behind the window; begins with silence so that the first output lies at time 0. */
    this.held = new Float32Array(HALF);
    this.position = HALF;
  }

  /** @param {Float32Array} block @returns {Float32Array} */
  process(block) {
    if (this.step === 1) return block;
    const input = new Float32Array(this.held.length + block.length);
    input.set(this.held);
    input.set(block, this.held.length);
    const last = input.length - HALF;
    const count = Math.max(0, Math.ceil((last - this.position) / this.step));
    const output = new Float32Array(count);
    for (let i = 0; i < count; i += 1) output[i] = this._at(input, this.position + i * this.step);
    const position = this.position + count * this.step;
    const drop = Math.max(0, Math.floor(position) - HALF);
    this.held = input.slice(drop);
    this.position = position - drop;
    return output;
  }

  _at(input, position) {
    const centre = Math.floor(position);
    let sum = 0;
    let weight = 0;
    for (let i = centre - HALF + 1; i <= centre + HALF; i += 1) {
      const x = i - position;
      const angle = Math.PI * x * this.cutoff;
      const sinc = Math.abs(angle) < 1e-9 ? 1 : Math.sin(angle) / angle;
      const w = sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / (HALF + 1)));
      sum += w * (input[i] ?? 0);
      weight += w;
    }
    return sum / weight;
  }
}
