/** The page at /live: wires the session to what is seen. */

import { LiveSession, SourceError, Transcript } from '../client/whisperlive-hybrid.js';
import { CaptionsView, clock } from './captions-view.js';
import { describe, listen } from './shortcuts.js';
import { download, render } from './downloads.js';
import { forgetDraft, keepDraft, takeDraft } from './draft.js';
import { LevelMeter } from './level-meter.js';
import { Notice } from './notice.js';
import { askServer, bindChoices, choices, choose, fillDevices, lockChoices, resize, sessionOptions, sources } from './settings.js';
import { SpeakerLabels } from './speaker-labels.js';
import { keepAwake } from './wake-lock.js';
import { SILENT_DB, statusOf, trouble } from './status.js';

const $ = (id) => document.getElementById(id);

/** How long Undo is offered after Clear. */
const UNDO_MS = 10_000;

let transcript = new Transcript();
const speakers = new SpeakerLabels({ names: transcript.names, log: $('log'), renamed: () => keepDraft(transcript) });
const view = new CaptionsView({ box: $('captions'), log: $('log'), jump: $('jump'), speakers });
const meter = new LevelMeter($('meter'));
const notice = new Notice($('notice'));

/** @type {LiveSession | null} */
let session = null;
let runs = 0;
let releaseScreen = () => {};
/** What the status line is made of. */
const facts = { phase: 'idle', state: 'idle', reason: null };
const times = { began: 0, lastSound: 0, retryAt: 0, elapsed: 0 };

async function start() {
  notice.hide();
  if (!window.isSecureContext) {
    fail(new SourceError('insecure', ''));
    return;
  }
  runs += 1;
  Object.assign(facts, { queue_s: 0, degraded: false });
  transcript.prefix = `${runs}/`;
  const run = new LiveSession(location.href.replace(/\/live\b.*$/, '/ws/stream'), sessionOptions(), {
    apiKey: $('apiKey').value || undefined,
    transcript,
    offset_s: Math.ceil(transcript.segments.at(-1)?.end ?? 0),
  });
  session = run;
  hear(run);
  setPhase('asking');
  try {
    await run.listen(sources());
  } catch (error) {
    if (session === run) fail(error);
    return;
  }
  times.began = performance.now();
  times.lastSound = times.began;
  facts.source = run.capture?.label ?? '';
  if (facts.phase === 'asking') setPhase('running');
  releaseScreen = keepAwake();
  fillDevices();
}

async function stop() {
  if (facts.phase !== 'running' || !session) return;
  setPhase('finishing');
  const run = session;
  try {
    const done = await run.stop();
    facts.unfinished = Boolean(done.unfinished);
    if (done.unfinished) view.markUnfinished();
    finish('done');
  } catch (error) {
    fail(error);
  }
}

/** Follow one session until it ends. */
function hear(run) {
  const on = (type, act) =>
    run.addEventListener(type, ({ detail }) => {
      if (session === run) act(detail);
    });
  on('text', ({ segments }) => {
    $('empty').hidden = true;
    view.show(segments);
    keepDraft(transcript);
    showSaving();
  });
  on('level', ({ db }) => {
    meter.show(db);
    if (db > SILENT_DB) times.lastSound = performance.now();
  });
  on('state', (detail) => {
    facts.state = detail.state;
    facts.reason = detail.reason;
    facts.catchingUp = detail.state === 'open' && run.protocol.unheard_s > 1;
    if (detail.state === 'full') times.retryAt = performance.now() + detail.retry_after_s * 1000;
    showStatus();
  });
  on('status', (detail) => {
    facts.queue_s = detail.queue_ms / 1000;
    facts.degraded = detail.degraded;
  });
  on('resumed', ({ restored }) => {
    // Another process of the server, which says by itself when it is busy.
    if (restored) Object.assign(facts, { queue_s: 0, degraded: false });
  });
  on('ack', () => {
    if (run.protocol.unheard_s < 1) facts.catchingUp = false;
  });
  on('error', (error) => {
    if (error.fatal) fail(error);
    else notice.show({ title: error.message, code: error.code, actions: [{ label: 'Dismiss' }] });
  });
  on('source-muted', () => {
    facts.muted = true;
  });
  on('source-unmuted', () => {
    facts.muted = false;
  });
  on('source-ended', ({ label }) => replaceSource(run, label));
  on('source-broken', (detail) => {
    notice.show({
      title: 'The audio encoder stopped',
      lines: ['The captions so far are kept.', 'Stop, then start again.'],
      code: 'encoder_failed',
      details: detail.message,
      actions: [{ label: 'Stop', act: stop }],
    });
  });
}

/** A microphone that was unplugged is replaced by the default one; a tab that is no longer shared ends the session. */
async function replaceSource(run, label) {
  if (facts.phase !== 'running') return;
  if (choices.source === 'display') {
    stop();
    return;
  }
  const lost = { title: `${label || 'The microphone'} was disconnected`, code: 'source_ended' };
  try {
    const now = await run.replaceMicrophone();
    facts.source = now;
    notice.show({ ...lost, lines: [`Now using ${now}. The captions go on.`], actions: [{ label: 'Dismiss' }] });
  } catch {
    notice.show({ ...lost, lines: ['No other microphone was found. The captions so far are kept.'] });
    stop();
  }
}

function fail(error) {
  const { title, kept, next, actions, code } = trouble(error.code ?? 'failed', error.message, {
    host: location.host,
    hasText: transcript.segments.length > 0,
  });
  const known = {
    retry: { label: 'Try again', act: start },
    files: { label: 'Transcribe a file instead', href: './' },
    guide: { label: 'This page on https', href: location.href.replace(/^http:/, 'https:') },
  };
  notice.show({ title, lines: [kept, next], code, details: error.message, actions: actions.map((name) => known[name]) });
  finish('failed');
}

function finish(phase) {
  session = null;
  releaseScreen();
  meter.reset();
  setPhase(phase);
  showSaving();
}

function setPhase(phase) {
  facts.phase = phase;
  const running = ['asking', 'running', 'finishing'].includes(phase);
  document.body.toggleAttribute('data-running', running);
  $('start').toggleAttribute('data-running', running);
  $('start').disabled = phase === 'asking' || phase === 'finishing';
  $('start-word').textContent = running ? 'Stop' : 'Start';
  lockChoices(running);
  document.title = phase === 'running' ? '● Live captions' : 'Live captions · WhisperLive Hybrid';
  showStatus();
}

function showStatus() {
  const now = performance.now();
  const protocol = session?.protocol;
  const status = statusOf({
    ...facts,
    silent_s: (now - times.lastSound) / 1000,
    behind_s: (protocol?.unheard_s ?? 0) + (facts.queue_s ?? 0),
    kept_s: protocol?.ring.kept_s ?? 0,
    retry_s: Math.max(0, (times.retryAt - now) / 1000),
    words: transcript.words,
  });
  if ($('status-word').textContent !== status.text) $('status-word').textContent = status.text;
  // Said once, not again for every second that is counted.
  const kind = status.text.replace(/\d+/g, '');
  if ($('status-said').dataset.kind !== kind) {
    $('status-said').dataset.kind = kind;
    $('status-said').textContent = status.text;
  }
  $('status').dataset.tone = status.tone;
  if (facts.phase === 'running') $('elapsed').textContent = clock((now - times.began) / 1000);
}

function showSaving() {
  const nothing = transcript.segments.length === 0;
  for (const button of document.querySelectorAll('#copy, [data-save]')) button.disabled = nothing;
  $('clear').disabled = nothing;
}

async function copy() {
  await navigator.clipboard.writeText(transcript.text());
  if (!session) forgetDraft();
  $('copy').textContent = 'Copied';
  setTimeout(() => {
    $('copy').textContent = 'Copy';
  }, 1500);
}

function clear() {
  const old = transcript;
  const words = old.words;
  transcript = new Transcript();
  transcript.prefix = old.prefix;
  transcript.names = old.names;
  if (session) session.transcript = transcript;
  view.clear();
  keepDraft(transcript);
  showSaving();
  notice.show({ title: `${words} words cleared`, actions: [{ label: 'Undo', act: () => restore(old) }] });
  setTimeout(() => {
    if ($('notice').textContent.includes('cleared')) notice.hide();
  }, UNDO_MS);
}

/** Put old captions before those there are. */
function restore(old) {
  const newer = transcript.segments;
  transcript.replaceAll([...old.segments, ...newer.filter((segment) => !old.segments.includes(segment))]);
  view.clear();
  $('empty').hidden = transcript.segments.length > 0;
  view.show(transcript.segments);
  showSaving();
}

function setView(name) {
  if (!('overlay' in document.documentElement.dataset)) choose('view', name);
  $('captions').dataset.view = name;
  for (const each of ['transcript', 'captions']) $(`view-${each}`).setAttribute('aria-pressed', String(each === name));
  view.toEnd();
}

function bindButtons() {
  const toggle = () => (session ? stop() : start());
  $('start').addEventListener('click', toggle);
  $('copy').addEventListener('click', copy);
  $('model-note').querySelector('button').addEventListener('click', () => {
    $('model-note').hidden = true;
  });
  $('clear').addEventListener('click', clear);
  $('smaller').addEventListener('click', () => resize(-1));
  $('larger').addEventListener('click', () => resize(1));
  $('view-transcript').addEventListener('click', () => setView('transcript'));
  $('view-captions').addEventListener('click', () => setView('captions'));
  for (const button of document.querySelectorAll('[data-save]')) {
    button.addEventListener('click', () => {
      download(render(transcript, button.dataset.save), button.dataset.save, new Date());
      if (!session) forgetDraft();
    });
  }
  for (const menu of document.querySelectorAll('.menu')) {
    document.addEventListener('click', (event) => {
      if (!menu.contains(event.target) || event.target.closest('[data-save], #clear')) menu.open = false;
    });
    menu.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      menu.open = false;
      menu.querySelector('summary').focus();
    });
  }
  const table = [
    { key: 's', label: 'S', does: 'Start or stop', act: () => $('start').disabled || toggle() },
    { key: 'c', label: 'C', does: 'Copy all', act: () => $('copy').disabled || copy() },
    { key: '+', label: '+', does: 'Larger text', act: () => resize(1) },
    { key: '-', label: '−', does: 'Smaller text', act: () => resize(-1) },
    { key: 'v', label: 'V', does: 'Change the view', act: () => setView(choices.view === 'captions' ? 'transcript' : 'captions') },
    { key: 'f', label: 'F', does: 'Full screen', act: fullScreen },
    { key: 'End', label: 'End', does: 'Jump to live', act: () => view.toEnd() },
    { key: '?', label: '?', does: 'Show this list', act: () => ($('more-menu').open = true) },
  ];
  listen(table, () => choices.keys);
  describe($('shortcuts'), table);
}

function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen?.();
}

function offerDraft() {
  const draft = takeDraft();
  if (!draft) return;
  notice.show({
    title: 'Captions of an earlier session were not saved',
    lines: [`${draft.words} words from ${draft.when.toLocaleString()}.`],
    actions: [{ label: 'Restore', act: () => restore(draft) }, { label: 'Discard', act: forgetDraft }],
  });
}

function main() {
  const query = new URLSearchParams(location.search);
  if (query.get('view') === 'overlay') document.documentElement.dataset.overlay = '';
  $('host').textContent = location.host;
  bindChoices();
  bindButtons();
  setView(query.get('view') === 'overlay' ? 'captions' : choices.view);
  askServer();
  offerDraft();
  setInterval(showStatus, 250);
  window.addEventListener('beforeunload', (event) => {
    if (session) event.preventDefault();
  });
  if (!window.isSecureContext) fail(new SourceError('insecure', ''));
  else if (query.has('start')) start();
}

main();
