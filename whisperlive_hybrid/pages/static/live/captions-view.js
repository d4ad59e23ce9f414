/**
 * Draws a transcript. What is committed is appended in phrases and not touched again, so that reading, selecting and
 * screen readers are not disturbed; only the tentative tail is replaced.
 */

/** Within this many pixels of the end, new text is followed. */
const NEAR_PX = 40;
/** A pause of this many seconds begins a new paragraph, with its time. */
const PARAGRAPH_S = 2;

export class CaptionsView {
  /** @param {{box: HTMLElement, log: HTMLElement, jump: HTMLButtonElement, speakers: import('./speaker-labels.js').SpeakerLabels}} parts */
  constructor({ box, log, jump, speakers }) {
    this.speakers = speakers;
    this.box = box;
    this.log = log;
    this.jump = jump;
    /** @type {Map<string, {turn: HTMLElement, said: HTMLElement, tail: HTMLElement, text: string}>} */
    this.turns = new Map();
    this.following = true;
    this.unseen = 0;
    this.lastEnd = null;
    box.addEventListener('scroll', () => this._scrolled(), { passive: true });
    jump.addEventListener('click', () => this.toEnd());
    new ResizeObserver(() => this._keepUp()).observe(box);
  }

  /** Draw segments that changed. @param {import('../client/transcript.js').Segment[]} segments */
  show(segments) {
    for (const segment of segments) this._showOne(segment);
    this._keepUp();
  }

  /** Mark tentative words that never became final. */
  markUnfinished() {
    for (const { turn, tail } of this.turns.values()) turn.classList.toggle('unfinished', tail.textContent !== '');
  }

  clear() {
    this.log.replaceChildren();
    this.turns.clear();
    this.lastEnd = null;
    this.toEnd();
  }

  toEnd() {
    this.following = true;
    this.unseen = 0;
    this.jump.hidden = true;
    this.box.scrollTop = this.box.scrollHeight;
  }

  _showOne(segment) {
    const known = this.turns.get(segment.key);
    if (!known && !segment.committed && !segment.tentative && !segment.gap) return;
    const drawn = known ?? this._add(segment);
    const text = segment.gap ? gapText(segment) : segment.committed;
    this._commit(drawn, text);
    const tail = segment.tentative;
    if (drawn.tail.textContent !== tail) drawn.tail.textContent = tail;
    this.speakers.show(drawn.turn, segment);
    if (segment.language) drawn.turn.lang = segment.language;
    if (!text && !tail) this._remove(segment.key);
    this.lastEnd = segment.end;
  }

  /** Bring the committed text to `text`, keeping all that stays the same. */
  _commit(drawn, text) {
    if (text === drawn.text) return;
    if (!text.startsWith(drawn.text)) {
      // A final that words something differently: keep the phrases before the difference.
      let kept = '';
      for (const phrase of [...drawn.said.children]) {
        if (text.startsWith(kept + phrase.textContent)) {
          kept += phrase.textContent;
        } else {
          while (phrase.nextSibling) phrase.nextSibling.remove();
          phrase.remove();
          break;
        }
      }
      drawn.text = kept;
    }
    const added = text.slice(drawn.text.length);
    if (added) {
      const phrase = document.createElement('span');
      phrase.className = 'phrase';
      phrase.textContent = added;
      drawn.said.append(phrase);
    }
    drawn.text = text;
  }

  _add(segment) {
    const turn = document.createElement('div');
    turn.className = segment.gap ? 'turn gap' : 'turn';
    if (this.lastEnd === null || segment.start - this.lastEnd >= PARAGRAPH_S) turn.classList.add('paragraph');
    const time = document.createElement('time');
    time.textContent = clock(segment.start);
    time.setAttribute('aria-hidden', 'true');
    const line = document.createElement('p');
    line.dir = 'auto';
    const said = document.createElement('span');
    said.className = 'said';
    const tail = document.createElement('span');
    tail.className = 'tentative';
    tail.setAttribute('aria-hidden', 'true');
    line.append(said, tail);
    turn.append(time, line);
    this.log.append(turn);
    if (!this.following) this.unseen += 1;
    const drawn = { turn, said, tail, text: '' };
    this.turns.set(segment.key, drawn);
    return drawn;
  }

  _remove(key) {
    this.turns.get(key).turn.remove();
    this.turns.delete(key);
  }

  _scrolled() {
    const { scrollTop, clientHeight, scrollHeight } = this.box;
    this.following = scrollHeight - scrollTop - clientHeight <= NEAR_PX;
    if (this.following) {
      this.unseen = 0;
      this.jump.hidden = true;
    }
  }

  _keepUp() {
    const selecting = !document.getSelection()?.isCollapsed && this.log.contains(document.getSelection().anchorNode);
    if (this.following && !selecting) {
      this.box.scrollTop = this.box.scrollHeight;
      return;
    }
    this.jump.hidden = this.unseen === 0;
    this.jump.textContent = `Jump to live (${this.unseen} new)`;
  }
}

/** m:ss or h:mm:ss. @param {number} seconds */
export function clock(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const rest = `${String(Math.floor(s / 60) % 60).padStart(s >= 3600 ? 2 : 1, '0')}:${String(s % 60).padStart(2, '0')}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${rest}` : rest;
}

const gapText = ({ start, end }) => `[${Math.max(1, Math.round(end - start))} s missing]`;
