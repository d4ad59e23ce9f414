/**
 * Audio messages that the server has not yet made final text of, by their number in the session.
 *
 * They are what a resumed session sends again, so nothing may leave before it is committed. Only when the ring is
 * full does the oldest go, and then `lost_s` says how much is missing.
 */

/** 5 minutes of 16 kHz 16-bit audio; as Opus more than an hour. The server finalises at least every 30 s. */
export const MAX_BYTES = 10 * 1024 * 1024;

/** @typedef {{number: number, bytes: Uint8Array, start: number, duration_s: number}} Frame */

export class FrameRing {
  /** @param {{maxBytes?: number}} [limits] */
  constructor({ maxBytes = MAX_BYTES } = {}) {
    /** @type {Frame[]} */
    this.frames = [];
    /** Number the next frame gets. */
    this.next = 0;
    /** Seconds of audio pushed since the session's clock began. */
    this.clock_s = 0;
    /** Seconds that had to be thrown away since the clock began. */
    this.lost_s = 0;
    this.bytes = 0;
    this.maxBytes = maxBytes;
  }

  /** Number of the oldest frame kept; `next` when nothing is kept. */
  get first() {
    return this.frames.length ? this.frames[0].number : this.next;
  }

  /** Seconds of audio kept. */
  get kept_s() {
    return this.frames.reduce((sum, frame) => sum + frame.duration_s, 0);
  }

  /**
   * Keep a message.
   * @param {Uint8Array} bytes
   * @param {number} duration_s
   * @returns {Frame}
   */
  push(bytes, duration_s) {
    const frame = { number: this.next, bytes, start: this.clock_s, duration_s };
    this.next += 1;
    this.clock_s += duration_s;
    this.bytes += bytes.byteLength;
    this.frames.push(frame);
    while (this.bytes > this.maxBytes && this.frames.length > 1) {
      const dropped = this.frames.shift();
      this.bytes -= dropped.bytes.byteLength;
      this.lost_s += dropped.duration_s;
    }
    return frame;
  }

  /** Forget the frames before number `n`: their text is final. @param {number} n */
  commit(n) {
    while (this.frames.length && this.frames[0].number < n) {
      this.bytes -= this.frames.shift().bytes.byteLength;
    }
  }

  /** The frames kept from number `n` on. @param {number} n @returns {Frame[]} */
  from(n) {
    return this.frames.filter((frame) => frame.number >= n);
  }

  /**
   * Begin a new session with what is kept: frames are numbered from 0 again.
   * @returns {number} seconds of the old clock at which the new one begins
   */
  renumber() {
    const offset = this.frames.length ? this.frames[0].start : this.clock_s;
    this.frames.forEach((frame, i) => {
      frame.number = i;
      frame.start -= offset;
    });
    this.next = this.frames.length;
    this.clock_s -= offset;
    this.lost_s = 0;
    return offset;
  }

  /** Throw everything away. @returns {number} seconds thrown away */
  clear() {
    const lost = this.kept_s;
    this.frames = [];
    this.bytes = 0;
    return lost;
  }
}
