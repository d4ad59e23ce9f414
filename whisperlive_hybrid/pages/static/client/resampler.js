/**
 * Any sample rate to 16 kHz, block by block, with a running position: no sample is gained or lost at block borders.
 * Needed where a browser cannot open an audio context at 16 kHz for the device. A windowed sinc of 32 taps.
 *
 * Positions are whole numbers of 1/`up` samples, so that nothing drifts however long it runs.
 */

const HALF = 16;

export class Resampler {
  /** @param {number} from Hz @param {number} [to] Hz */
  constructor(from, to = 16_000) {
    const common = divisor(from, to);
    this.up = to / common;
    this.down = from / common;
    this.cutoff = Math.min(1, to / from) * 0.92;
    /** Samples the window still needs; begins with silence so that the first output lies at time 0. */
    this.held = new Float32Array(HALF);
    /** Of the next output, in 1/up samples of `held`. */
    this.position = HALF * this.up;
    /** Filter weights by phase. @type {Map<number, Float64Array>} */
    this.filters = new Map();
  }

  /** @param {Float32Array} block @returns {Float32Array} */
  process(block) {
    if (this.up === this.down) return block;
    const input = new Float32Array(this.held.length + block.length);
    input.set(this.held);
    input.set(block, this.held.length);
    const end = (input.length - HALF) * this.up;
    const output = new Float32Array(Math.max(0, Math.ceil((end - this.position) / this.down)));
    for (let i = 0; i < output.length; i += 1) {
      output[i] = this._at(input, this.position);
      this.position += this.down;
    }
    const drop = Math.max(0, Math.min(input.length, Math.floor(this.position / this.up) - HALF + 1));
    this.held = input.slice(drop);
    this.position -= drop * this.up;
    return output;
  }

  _at(input, position) {
    const phase = position % this.up;
    const first = (position - phase) / this.up - HALF + 1;
    const filter = this._filter(phase);
    let sum = 0;
    for (let i = 0; i < filter.length; i += 1) sum += filter[i] * input[first + i];
    return sum;
  }

  _filter(phase) {
    let filter = this.filters.get(phase);
    if (!filter) {
      filter = Float64Array.from({ length: 2 * HALF }, (_, i) => {
        const x = i - HALF + 1 - phase / this.up;
        const angle = Math.PI * x * this.cutoff;
        const sinc = Math.abs(angle) < 1e-9 ? 1 : Math.sin(angle) / angle;
        return sinc * (0.5 + 0.5 * Math.cos((Math.PI * x) / (HALF + 1)));
      });
      const weight = filter.reduce((sum, w) => sum + w, 0);
      filter = filter.map((w) => w / weight);
      this.filters.set(phase, filter);
    }
    return filter;
  }
}

/** Greatest common divisor. */
function divisor(a, b) {
  return b === 0 ? a : divisor(b, a % b);
}
