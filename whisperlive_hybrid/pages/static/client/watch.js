/**
 * Whether the server at the other end of an open connection is still there. A dead network closes nothing; so it is
 * judged by what is heard. A server that has too much to work off acknowledges no audio, but its heartbeats come.
 */

/** ms in which audio is not acknowledged and nothing else is heard: say so, then give the connection up. */
export const STALLED_MS = 3000;
export const DEAD_MS = 12_000;
/** In the time of so many heartbeats not one message, whether audio is sent or not: the connection is given up. */
export const QUIET_HEARTBEATS = 1.8;

export class Watch {
  constructor() {
    this.heartbeat_ms = 10_000;
    this.stop();
  }

  /** The connection carries a session from now on. @param {number} now */
  start(now) {
    this.watching = true;
    this.waitingSince = null;
    this.heardAt = now;
    this.stalled = false;
  }

  stop() {
    this.watching = false;
    this.waitingSince = null;
    this.heardAt = 0;
    this.stalled = false;
  }

  /** Audio was sent. @param {number} now */
  sent(now) {
    this.waitingSince ??= now;
  }

  /** Audio was acknowledged. @param {boolean} all @param {number} now */
  acknowledged(all, now) {
    this.waitingSince = all ? null : now;
  }

  /** Anything was heard; returns whether that ends a stall. @param {number} now */
  heard(now) {
    this.heardAt = now;
    const ended = this.stalled;
    this.stalled = false;
    return ended;
  }

  /** 'dead', 'stalled' (said once) or 'fine'. @param {number} now */
  judge(now) {
    if (!this.watching) return 'fine';
    if (now >= this._deadAt()) return 'dead';
    if (this.stalled || now < this._unansweredSince() + STALLED_MS) return 'fine';
    this.stalled = true;
    return 'stalled';
  }

  /** When to judge again. */
  nextDeadline() {
    if (!this.watching) return Infinity;
    return Math.min(this._deadAt(), this.stalled ? Infinity : this._unansweredSince() + STALLED_MS);
  }

  _unansweredSince() {
    return this.waitingSince === null ? Infinity : Math.max(this.waitingSince, this.heardAt);
  }

  _deadAt() {
    return Math.min(this._unansweredSince() + DEAD_MS, this.heardAt + QUIET_HEARTBEATS * this.heartbeat_ms);
  }
}
