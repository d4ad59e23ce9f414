/**
 * The text of a live session, built from its messages. Committed text only ever grows; a `final` settles its segment.
 * The server's pieces carry their own spaces: they are put together as they are, which is right in any script.
 */

/**
 * @typedef {object} Segment
 * @property {string} key      unique over all sessions of the page
 * @property {number} start    seconds
 * @property {number} end      seconds
 * @property {string} committed text that stays
 * @property {string} tentative the tail that may still change
 * @property {boolean} final
 * @property {string|null} language
 * @property {string|null} speaker
 * @property {boolean} stale   not final when the server broke off: will be said again
 * @property {boolean} gap     no text: audio that was lost
 */

export class Transcript {
  constructor() {
    /** @type {Segment[]} */
    this.segments = [];
    /** @type {Map<string, Segment>} */
    this._byKey = new Map();
    /** Own names of speakers, by `voiceOf` a segment of theirs. @type {Map<string, string>} */
    this.names = new Map();
    /** Put before every key, so that several sessions can share a page. */
    this.prefix = '';
  }

  /**
   * Take a message of the session.
   * @param {object} event
   * @returns {Segment[]} what changed
   */
  receive(event) {
    switch (event.type) {
      case 'partial':
        return this._receivePartial(event);
      case 'final':
        return this._receiveFinal(event);
      case 'speaker':
        return this._receiveSpeaker(event);
      case 'gap':
        return [this._gap(event)];
      case 'restarted':
        return this._receiveRestarted();
      case 'resumed':
        return event.restored ? this._receiveRestarted() : [];
      case 'done':
        return event.unfinished ? [] : this._dropTails();
      default:
        return [];
    }
  }

  /** All text; tentative words too, if wanted. @param {{tentative?: boolean}} [what] */
  text({ tentative = true } = {}) {
    return this.segments
      .map((segment) => ({ text: lineOf(segment, tentative), name: this.nameOf(segment) }))
      .filter(({ text }) => text)
      .map(({ text, name }) => (name ? `[${name}] ${text}` : text))
      .join('\n');
  }

  /** Segments with their text, for subtitles and JSON. */
  lines() {
    return this.segments
      .filter((segment) => !segment.gap)
      .map((segment) => ({ start: segment.start, end: segment.end, text: lineOf(segment, true), speaker: this.nameOf(segment) }))
      .filter((line) => line.text);
  }

  /** Who speaks a segment, by their own name if they have one; null where nobody knows. @param {Segment} segment */
  nameOf(segment) {
    return this.names.get(voiceOf(segment)) ?? segment.speaker ?? null;
  }

  /** Number of words, tentative ones too. */
  get words() {
    return this.lines().reduce((sum, line) => sum + line.text.split(/\s+/).filter(Boolean).length, 0);
  }

  /** Take these segments for what was said. @param {Segment[]} segments */
  replaceAll(segments) {
    this.segments = segments;
    this._byKey = new Map(segments.map((segment) => [segment.key, segment]));
  }

  _receivePartial(event) {
    const changed = this._dropStale();
    const segment = this._segment(event);
    if (segment.final) return changed;
    segment.end = Math.max(segment.end, event.end);
    segment.committed += event.append ?? '';
    segment.tentative = event.tentative ?? '';
    return [...changed, segment];
  }

  _receiveFinal(event) {
    const changed = this._dropStale();
    const segment = this._segment(event);
    Object.assign(segment, {
      start: event.start,
      end: event.end,
      committed: event.text.trim(),
      tentative: '',
      final: true,
      language: event.language ?? null,
    });
    return [...changed, segment];
  }

  _receiveSpeaker(event) {
    const named = [{ segment: event.segment, speaker: event.speaker }, ...(event.also ?? [])];
    return named.flatMap(({ segment: number, speaker }) => {
      const segment = this._byKey.get(`${this.prefix}${event.epoch ?? 0}:${number}`);
      if (!segment) return [];
      segment.speaker = speaker;
      return [segment];
    });
  }

  /** What was not final will be said again, by the session restored or the next; until then it stays, as tentative. */
  _receiveRestarted() {
    const open = this.segments.filter((segment) => !segment.final && !segment.gap);
    for (const segment of open) {
      segment.tentative = segment.committed + segment.tentative;
      segment.committed = '';
      segment.stale = true;
    }
    return open;
  }

  _dropStale() {
    const stale = this.segments.filter((segment) => segment.stale);
    for (const segment of stale) this._remove(segment);
    return stale;
  }

  _dropTails() {
    const open = this.segments.filter((segment) => segment.tentative);
    for (const segment of open) segment.tentative = '';
    return open;
  }

  _gap({ start, end }) {
    const last = this.segments.at(-1);
    if (last?.gap && Math.abs(last.end - start) < 0.01) {
      last.end = end;
      return last;
    }
    return this._add({ ...blank(`${this.prefix}gap${start}`, start), end, final: true, gap: true });
  }

  _segment(event) {
    const key = `${this.prefix}${event.epoch ?? 0}:${event.segment}`;
    return this._byKey.get(key) ?? this._add({ ...blank(key, event.start), end: event.end });
  }

  _add(segment) {
    this._byKey.set(segment.key, segment);
    this.segments.push(segment);
    return segment;
  }

  _remove(segment) {
    segment.committed = '';
    segment.tentative = '';
    segment.stale = false;
    this._byKey.delete(segment.key);
    this.segments = this.segments.filter((other) => other !== segment);
  }
}

/** One speaker of one session: two sessions both have a first speaker. @param {Segment} segment */
export const voiceOf = ({ key, speaker }) => (speaker ? `${key.split(':')[0]}:${speaker}` : '');

/** The text of one segment in a line. */
function lineOf(segment, tentative) {
  if (segment.gap) return `[${Math.max(1, Math.round(segment.end - segment.start))} s missing]`;
  return (tentative ? segment.committed + segment.tentative : segment.committed).trim();
}

/** @returns {Segment} */
const blank = (key, start) => ({
  key,
  start,
  end: start,
  committed: '',
  tentative: '',
  final: false,
  language: null,
  speaker: null,
  stale: false,
  gap: false,
});
