/**
 * Who speaks, at the start of each of their turns: a colour and a name that can be changed for the whole session.
 * A name is a button; pressed, it becomes a field. What the server calls a speaker stays in the segments.
 */

import { voiceOf } from '../client/transcript.js';

/** As many colours as can be told apart; more speakers share them, and their names tell them apart. */
const COLOURS = 8;

export class SpeakerLabels {
  /** @param {{names: Map<string, string>, log: HTMLElement, renamed: () => void}} parts `names`: voice → own name */
  constructor({ names, log, renamed }) {
    this.names = names;
    this.log = log;
    this.renamed = renamed;
    /** @type {string[]} voices in the order in which they first spoke */
    this.order = [];
  }

  /** Say at `turn` whose it is. @param {HTMLElement} turn @param {import('../client/transcript.js').Segment} segment */
  show(turn, segment) {
    const voice = voiceOf(segment);
    if ((turn.dataset.speaker ?? '') === voice) return;
    if (voice) turn.dataset.speaker = voice;
    else delete turn.dataset.speaker;
    this._draw(turn);
    if (turn.nextElementSibling) this._draw(turn.nextElementSibling);
  }

  /** The names are others now. */
  redraw(names) {
    this.names = names;
    for (const turn of this.log.querySelectorAll('.turn[data-speaker]')) this._draw(turn);
  }

  _draw(turn) {
    const { speaker } = turn.dataset;
    const same = turn.previousElementSibling?.dataset.speaker === speaker;
    const old = turn.querySelector('.speaker');
    if (!speaker || same) {
      old?.remove();
      return;
    }
    if (old?.tagName === 'INPUT') return;
    const label = document.createElement('button');
    label.type = 'button';
    label.className = 'speaker';
    label.dataset.voice = String(this._number(speaker) % COLOURS);
    label.textContent = this.names.get(speaker) ?? readable(speaker);
    label.title = 'Change the name';
    label.addEventListener('click', () => this._edit(label, speaker));
    if (old) old.replaceWith(label);
    else turn.querySelector('p').before(label);
  }

  _number(speaker) {
    if (!this.order.includes(speaker)) this.order.push(speaker);
    return this.order.indexOf(speaker);
  }

  _edit(label, speaker) {
    const field = document.createElement('input');
    field.className = 'speaker';
    field.dataset.voice = label.dataset.voice;
    field.value = label.textContent;
    field.maxLength = 40;
    field.setAttribute('aria-label', `Name of ${label.textContent}`);
    label.replaceWith(field);
    field.focus();
    field.select();
    let done = false;
    const finish = (keep) => {
      if (done) return;
      done = true;
      const name = field.value.trim();
      if (keep && name && name !== readable(speaker)) this.names.set(speaker, name);
      else if (keep) this.names.delete(speaker);
      field.replaceWith(label);
      this.redraw(this.names);
      if (keep) this.renamed();
    };
    field.addEventListener('blur', () => finish(true));
    field.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Enter') finish(true);
      if (event.key === 'Escape') finish(false);
    });
  }
}

/** SPEAKER_00 is Speaker 1 to people. @param {string} voice */
function readable(voice) {
  const speaker = voice.slice(voice.indexOf(':') + 1);
  const number = /^SPEAKER_(\d+)$/.exec(speaker)?.[1];
  return number === undefined ? speaker : `Speaker ${Number(number) + 1}`;
}
