/** The job that is open: followed while it runs, its transcript read and heard. */

import { $, button, make, say } from './dom.js';
import { format } from './route.js';
import { clock, isActive, nameOf, speakerName, stateLine, stateWord, troubleOf, when } from './wording.js';
import { TranscriptView } from './transcript-view.js';

const RETRY_MS = [1000, 2000, 4000, 8000];
const FORMATS = [['txt', 'Text'], ['srt', 'Subtitles'], ['vtt', 'Web subtitles'], ['tsv', 'Table'], ['json', 'JSON with times'], ['ndjson', 'Lines of JSON']];
const STEP_S = 5;
const UNKEPT = 'Whoever sent this request waits for its answer, or has it. The server keeps neither its audio nor its text.';

export class Opened {
  /** @param {{api: import('./api.js').Api, actions: object, news: (job: object) => void, route: () => object}} parts */
  constructor({ api, actions, news, route }) {
    Object.assign(this, { api, actions, news, route });
    this.player = $('player');
    this.view = new TranscriptView({ box: $('opened'), text: $('transcript'), back: $('spoken'), seek: (t, play) => this.seek(t, play) });
    this.job = null;
    this.id = '';
    this.audioUrl = '';
    for (const type of ['play', 'pause', 'seeked', 'timeupdate']) this.player.addEventListener(type, () => this._heard());
    this.player.addEventListener('error', () => this._noAudio());
    $('speed').addEventListener('change', () => {
      this.player.playbackRate = Number($('speed').value);
    });
    $('copy').addEventListener('click', () => this.copy());
    $('copy-link').addEventListener('click', () => this.copyLink());
    $('saves').replaceChildren(
      ...FORMATS.map(([what, label]) => button('', () => this.save(what), { 'data-save': what, textContent: '' })),
      button('', () => this.actions.download(`api/audio/${this.job.clip_id}/content`, nameOf(this.job)), { 'data-save': 'audio' }),
    );
    [...$('saves').children].forEach((each, i) => each.append(FORMATS[i]?.[1] ?? 'The audio', make('small', { textContent: FORMATS[i] ? `.${FORMATS[i][0]}` : '' })));
  }

  /** Open a job, or none. @param {{job: string, t: number | null, q: string}} route */
  async show({ job: id, t, q }) {
    if (id === this.id) {
      if (t !== null && this.job) this.seek(t, false);
      this._find(q);
      return;
    }
    this.close();
    this.id = id;
    if (!id) return;
    this.at = t;
    this.query = q;
    this.stop = new AbortController();
    await this._follow(this.stop.signal);
  }

  /** From its beginning: it was queued again. */
  again() {
    const { id } = this;
    this.close();
    this.show({ ...this.route(), job: id });
  }

  close() {
    this.stop?.abort();
    this.id = '';
    this.job = null;
    this.result = null;
    this.n = 0;
    this.at = null;
    this.player.pause();
    this.player.removeAttribute('src');
    this.player.load();
    this.audioOf = '';
    if (this.audioUrl.startsWith('blob:')) URL.revokeObjectURL(this.audioUrl);
    this.audioUrl = '';
    this.view.clear();
    for (const element of [$('audio-bar'), $('job-trouble'), $('job-empty'), $('job-warning')]) element.hidden = true;
    for (const element of [$('job-name'), $('job-state'), $('job-facts'), $('find-said'), $('job-lost')]) say(element, '');
    $('job-bar').hidden = true;
    $('job-tools').replaceChildren();
  }

  async _follow(signal) {
    for (let tries = 0; !signal.aborted; ) {
      try {
        this._took(await this.api.ask(`api/jobs/${this.id}`, { signal }));
        for await (const event of this.api.events(this.id, this.n, signal)) {
          if (signal.aborted) return;
          tries = 0;
          say($('job-lost'), '');
          if (this._event(event)) return;
        }
      } catch (error) {
        if (error.name === 'AbortError' || signal.aborted) return;
        if (error.status && error.status !== 503 && error.status !== 429) {
          this._trouble(troubleOf(error));
          return;
        }
      }
      // Ended before its time: the server is restarted, or the way to it is gone.
      say($('job-lost'), 'Connection lost. The job goes on at the server; trying again.');
      await pause(RETRY_MS[Math.min(tries, RETRY_MS.length - 1)], signal);
      tries += 1;
    }
  }

  /** @returns {boolean} whether it was the last one */
  _event(event) {
    const { type } = event;
    if (type === 'progress') {
      const { type: _, ...fields } = event;
      // It begins anew after a fault: what was told before is told again.
      if (fields.attempts !== this.job.attempts && fields.segments < this.n) this._forgetText();
      this._took({ ...this.job, ...fields });
    } else if (type === 'segment') {
      if (event.segment.id < this.n) return false;
      this.n = event.segment.id + 1;
      $('job-empty').hidden = true;
      this.view.add(event.segment);
      this._arrived();
    } else if (type === 'done') {
      this._finished(event.transcription);
      return true;
    } else if (type === 'error') {
      this._refresh(event.error);
      return true;
    }
    return false;
  }

  _forgetText() {
    this.n = 0;
    this.view.clear();
  }

  _took(job) {
    const first = !this.job;
    this.job = job;
    this.news(job);
    const name = nameOf(job);
    say($('job-name'), name);
    say($('job-state'), stateLine(job));
    $('job-state').dataset.state = job.state;
    const bar = $('job-bar');
    bar.hidden = !isActive(job);
    if (job.state === 'running' && job.stage !== 'transcribing' && !(job.stage === 'decoding' && job.progress)) bar.removeAttribute('value');
    else bar.value = job.progress;
    this._facts();
    if (first || this.toolsOf !== job.state) this._tools(job);
    if (job.clip_id) this._audio(job.clip_id);
    const text = !job.kept ? UNKEPT : isActive(job) && !this.n ? (job.state === 'queued' ? 'The text appears here as soon as it is this job’s turn. You may close this page: the job goes on.' : 'The first words appear here in a moment. You may close this page: the job goes on.') : '';
    say($('job-empty'), text);
    $('job-empty').hidden = !text;
    if (job.state === 'failed' && job.error) this._trouble({ title: 'It failed', next: job.error.message, code: job.error.code });
    else $('job-trouble').hidden = true;
    for (const each of document.querySelectorAll('#saves [data-save]')) each.disabled = each.dataset.save === 'audio' ? !job.clip_id : job.state !== 'done' || !job.kept;
    if (first) say($('said'), `${name}: ${stateLine(job)}`);
  }

  _facts() {
    const { job, result } = this;
    const names = new Intl.DisplayNames(undefined, { type: 'language', fallback: 'code' });
    const language = result?.language ? names.of(result.language === 'jw' ? 'jv' : result.language) : '';
    const speakers = new Set(result?.segments.map((each) => each.speaker_label).filter(Boolean)).size;
    const heard = speakers ? `${speakers} ${speakers === 1 ? 'speaker' : 'speakers'}` : '';
    say($('job-facts'), [job.total_s ? clock(job.total_s) : '', language, heard, job.model, when(job.created, new Date())].filter(Boolean).join(' · '));
  }

  _tools(job) {
    this.toolsOf = job.state;
    const { job_id: id } = job;
    const all = [
      isActive(job) && button('Cancel', () => this.actions.cancel(id)),
      job.kept && ['failed', 'cancelled'].includes(job.state) && button('Retry', () => this.actions.retry(id)),
      !isActive(job) && button('Delete', () => this.actions.remove(this.job)),
    ];
    $('job-tools').replaceChildren(...all.filter(Boolean));
  }

  _finished(result) {
    if (!result) {
      this._took({ ...this.job, state: 'done', stage: 'done', progress: 1 });
      return;
    }
    const relabelled = result.segments.length !== this.n || result.segments.some((each) => each.speaker_label);
    this.result = result;
    if (relabelled) {
      this.view.clear();
      for (const segment of result.segments) this.view.add(segment);
      this.n = result.segments.length;
    }
    this._took({ ...this.job, state: 'done', stage: 'done', progress: 1 });
    const text = result.segments.length ? '' : 'No speech was found in this file.';
    say($('job-empty'), text);
    $('job-empty').hidden = !text;
    say($('job-warning'), result.warning ?? '');
    $('job-warning').hidden = !result.warning;
    say($('said'), `${nameOf(this.job)}: ${stateWord('done')}`);
    this._arrived();
    this._heard();
    this._find(this.query);
  }

  async _refresh(error) {
    try {
      this._took(await this.api.ask(`api/jobs/${this.id}`));
      say($('said'), `${nameOf(this.job)}: ${stateWord(this.job.state)}`);
    } catch {
      this._trouble({ title: error.message, next: '', code: error.code });
    }
  }

  _trouble({ title, next, code }) {
    const box = $('job-trouble');
    box.replaceChildren(make('h2', { textContent: title }), make('p', { textContent: next }), make('code', { textContent: code }));
    box.hidden = false;
  }

  /* ---- heard ---- */

  async _audio(clip) {
    if (this.audioOf === clip) return;
    this.audioOf = clip;
    $('audio-bar').hidden = false;
    say($('audio-said'), '');
    try {
      // <audio> sends no key: a link that opens this one clip for a while does it, and the key stays out of addresses.
      const { url } = await this.api.ask(`api/audio/${clip}/link`);
      if (this.audioOf !== clip) return;
      this.audioUrl = this.api.base + url.replace(/^\//, '');
      this.player.src = this.audioUrl;
      this.player.playbackRate = Number($('speed').value);
      this._arrived();
    } catch (error) {
      say($('audio-said'), `The audio cannot be played: ${error.message}`);
    }
  }

  _noAudio() {
    if (!this.player.getAttribute('src')) return;
    say($('audio-said'), 'This browser cannot play this kind of file. The text is complete all the same.');
  }

  /** A link to a place is obeyed once text and audio are there. */
  _arrived() {
    if (this.at === null || !this.player.getAttribute('src')) return;
    if (!this.result && !(this.view.segments.at(-1)?.end > this.at)) return;
    const { at } = this;
    this.at = null;
    this.seek(at, false);
  }

  /** @param {number} t seconds @param {boolean} play */
  seek(t, play) {
    this.player.currentTime = t;
    this.view.show(t, true);
    this.view.follow();
    if (play) this.player.play().catch(() => { /* what cannot be played says so by its error event */ });
  }

  _heard() {
    const { player } = this;
    if (!this.id || !player.getAttribute('src') || !player.readyState) return;
    this.view.show(player.currentTime, !player.paused);
    if (!player.paused && !this.frame) {
      const next = () => {
        this.frame = null;
        if (!player.paused) this._heard();
      };
      this.frame = requestAnimationFrame(next);
    }
  }

  /** Keys of an open job. @param {KeyboardEvent} event @returns {boolean} whether it was one of them */
  key({ key }) {
    if (!this.job?.clip_id) return false;
    const { player } = this;
    if (key === ' ' || key === 'k') player.paused ? player.play().catch(() => {}) : player.pause();
    else if (key === 'ArrowLeft') this.seek(Math.max(0, player.currentTime - STEP_S), false);
    else if (key === 'ArrowRight') this.seek(player.currentTime + STEP_S, false);
    else if (key === 'ArrowUp') this.seek(this.view.beside(-1, player.currentTime), false);
    else if (key === 'ArrowDown') this.seek(this.view.beside(1, player.currentTime), false);
    else return false;
    return true;
  }

  /* ---- taken along ---- */

  _find(query) {
    this.query = query;
    const n = this.view.find(query);
    say($('find-said'), n ? (n === 1 ? '1 match is marked' : `${n} matches are marked`) : '');
  }

  text() {
    let last = null;
    return this.view.segments
      .map(({ segment: { speaker_label: speaker, text } }) => {
        const head = speaker && speaker !== last ? `${speakerName(speaker)}: ` : '';
        last = speaker;
        return head + text;
      })
      .join('\n');
  }

  copy() {
    this.actions.copy(this.text(), $('copy'));
  }

  copyLink() {
    const t = this.player.currentTime > 0 ? this.player.currentTime : null;
    this.actions.copy(location.href.replace(/#.*$/, '') + format({ job: this.id, t }), $('copy-link'));
  }

  save(what) {
    const stem = nameOf(this.job).replace(/\.[^.]+$/, '') || 'transcript';
    this.actions.download(`api/jobs/${this.id}/result?format=${what}`, `${stem}.${what}`);
  }
}

const pause = (ms, signal) =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
    addEventListener('online', () => resolve(), { once: true, signal });
  });
