/** A transcript that can be played along: turns of speakers, segments and words that know their times. */

import { marked, spanAt } from './arrange.js';
import { make, withMarks } from './dom.js';
import { clock, speakerName } from './wording.js';

/** A pause of this many seconds begins a new paragraph, and so does a sentence after so many seconds of one. */
const PAUSE_S = 2;
const PARAGRAPH_S = 20;
/** As many colours as can be told apart. */
const COLOURS = 8;

export class TranscriptView {
  /** @param {{box: HTMLElement, text: HTMLElement, back: HTMLButtonElement, seek: (t: number, play: boolean) => void}} parts `box` scrolls */
  constructor({ box, text, back, seek }) {
    Object.assign(this, { box, text, back, seek });
    this.clear();
    text.addEventListener('click', (event) => this._clicked(event));
    for (const type of ['wheel', 'touchmove']) box.addEventListener(type, () => this._away(), { passive: true });
    box.addEventListener('scroll', () => this._scrolled(), { passive: true });
    back.addEventListener('click', () => this.follow());
  }

  clear() {
    this.text.replaceChildren();
    /** @type {{start: number, end: number, element: HTMLElement}[]} */
    this.segments = [];
    this.words = [];
    this.voices = [];
    this.query = '';
    this.last = null;
    this.at = -1;
    this.word = -1;
    this.following = true;
    this.movedAt = 0;
    this.back.hidden = true;
  }

  /** @param {object} segment as the API has it; `words` are told apart where there are some */
  add(segment) {
    const { words = [] } = segment;
    const element = make('span', { className: 'segment', dir: 'auto' });
    this._fill(element, segment);
    if (this._begins(segment)) this._turn(segment);
    const paragraph = this.text.lastElementChild.querySelector('p');
    if (paragraph.childNodes.length) paragraph.append(' ');
    paragraph.append(element);
    // Words may begin a little before their segment, which is not timed as closely.
    const start = Math.min(segment.start, words[0]?.start ?? Infinity);
    const end = Math.max(segment.end, words.at(-1)?.end ?? 0);
    this.segments.push({ start, end, element, segment });
    if (words.length) [...element.querySelectorAll('.word')].forEach((each, i) => this.words.push({ start: words[i].start, end: words[i].end, element: each }));
    this.last = segment;
  }

  /** Mark the words of a search. @param {string} query @returns {number} how many there are */
  find(query) {
    if (query !== this.query) {
      this.query = query;
      for (const { element, segment } of this.segments) this._fill(element, segment, true);
    }
    return this.text.querySelectorAll('mark').length;
  }

  _fill(element, { text, words = [] }, again = false) {
    const pieces = (value) => (this.query ? withMarks(marked(value, this.query)) : [value]);
    if (again && words.length) {
      [...element.querySelectorAll('.word')].forEach((each, i) => each.replaceChildren(...pieces(words[i].word)));
      return;
    }
    if (!words.length) {
      element.replaceChildren(...pieces(text));
      return;
    }
    element.replaceChildren(...words.flatMap(({ word }, i) => [i && spaced(text) ? ' ' : '', make('span', { className: 'word' }, ...pieces(word))]));
  }

  _begins({ start, speaker_label: speaker }) {
    const { last } = this;
    if (!last || speaker !== last.speaker_label || start - last.end > PAUSE_S) return true;
    return start - this.turnStart > PARAGRAPH_S && /[.?!…。？！]["”’)]?$/.test(last.text);
  }

  _turn({ start, speaker_label: speaker }) {
    this.turnStart = start;
    const time = make('button', { type: 'button', className: 'time', textContent: clock(start), title: 'Play from here', tabIndex: this.text.childElementCount ? -1 : 0, 'aria-label': `Play from ${clock(start)}` });
    time.dataset.start = String(start);
    const turn = make('div', { className: 'turn' }, time);
    const named = speaker && (!this.last || this.last.speaker_label !== speaker);
    if (named) turn.append(this._name(speaker));
    turn.append(make('p', {}));
    this.text.append(turn);
  }

  _name(speaker) {
    if (!this.voices.includes(speaker)) this.voices.push(speaker);
    const name = make('span', { className: 'speaker', textContent: speakerName(speaker), dir: 'auto' });
    name.dataset.voice = String(this.voices.indexOf(speaker) % COLOURS);
    return name;
  }

  /** This is spoken now. @param {number} t seconds @param {boolean} playing */
  show(t, playing) {
    const at = spanAt(this.segments, t);
    if (at !== this.at) {
      this.segments[this.at]?.element.classList.remove('now');
      this.at = at;
      this.segments[at]?.element.classList.add('now');
      if (playing && this.following) this._center();
    }
    const word = spanAt(this.words, t);
    if (word !== this.word) {
      this.words[this.word]?.element.classList.remove('now');
      this.word = word;
      this.words[word]?.element.classList.add('now');
    }
    this._offer();
  }

  /** Go where it is spoken, and stay there. */
  follow() {
    this.following = true;
    this.back.hidden = true;
    this._center();
  }

  /** Start of the segment before or after. @param {1 | -1} step @param {number} t seconds */
  beside(step, t) {
    const at = this.at >= 0 ? this.at : this.segments.findIndex((each) => each.start > t) - (step > 0 ? 1 : 0);
    return this.segments[Math.max(0, Math.min(this.segments.length - 1, at + step))]?.start ?? 0;
  }

  _center() {
    const element = this.segments[this.at]?.element;
    if (!element) return;
    this.movedAt = performance.now();
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    element.scrollIntoView({ block: 'center', behavior: calm ? 'auto' : 'smooth' });
  }

  _away() {
    if (this.at < 0) return;
    this.movedAt = 0;
    this.following = false;
    this._offer();
  }

  _scrolled() {
    // What this view scrolls itself is no wish of the reader's.
    if (performance.now() - this.movedAt < 1000 || this.at < 0) return;
    this.following = this._visible();
    this._offer();
  }

  _offer() {
    this.back.hidden = this.following || this.at < 0 || this._visible();
  }

  _visible() {
    const element = this.segments[this.at]?.element;
    if (!element) return true;
    const [inner, outer] = [element.getBoundingClientRect(), this.box.getBoundingClientRect()];
    return inner.bottom > outer.top + 120 && inner.top < outer.bottom;
  }

  _clicked({ target }) {
    if (!document.getSelection().isCollapsed) return;
    const time = target.closest('.time');
    const place = target.closest('.word') ?? target.closest('.segment');
    const start = time ? Number(time.dataset.start) : [...this.words, ...this.segments].find(({ element }) => element === place)?.start;
    if (start === undefined) return;
    this.following = true;
    this.seek(start, true);
  }
}

/** Words of scripts with spaces have some between them. */
const spaced = (text) => /\s/.test(text.trim());
