/** The page at /jobs: list, search and the open job, wired to the address and to the server. */

import { noteOf } from '../live/status.js';
import { Notice } from '../live/notice.js';
import { Api } from './api.js';
import { bindChoices, fillModels, jobOptions } from './choices.js';
import { $, button, confirmed, say } from './dom.js';
import { JobList } from './list.js';
import { Opened } from './opened.js';
import { format, parse } from './route.js';
import { Search } from './search.js';
import { Sending, forget, sentBefore } from './sending.js';
import { batchName, linesOf, nameOf, stateWord, troubleOf } from './wording.js';

const STATES = ['', 'queued', 'running', 'done', 'failed', 'cancelled', 'requests'];

const api = new Api(location.href.replace(/[?#].*$/, '').replace(/[^/]*$/, ''), () => $('key').value);
const notice = new Notice($('notice'));
const actions = { cancel, retry, remove, removeBatch, download, copy };
let route = parse(location.hash);
let unreachable = false;

const list = new JobList({ api, list: $('list'), older: $('older'), said: $('said'), actions, changed: drawAround, failed: listFailed });
const opened = new Opened({ api, actions, news: (job) => list.update(job), route: () => route });
const search = new Search({ api, field: $('search'), list: $('found'), more: $('more-found'), said: $('found-said'), failed: fail });
const sending = new Sending({ api, list: $('sending'), options: jobOptions, filed, failed: fail });

/* ---- the address ---- */

function go(changes) {
  location.hash = format({ ...route, ...changes });
}

function follow() {
  route = parse(location.hash);
  document.body.dataset.open = route.job ? 'job' : 'list';
  if ($('search').value.trim() !== route.q.trim()) $('search').value = route.q;
  $('queue').hidden = Boolean(route.q);
  $('results').hidden = !route.q;
  list.show(route);
  list.mark(route.job);
  search.show(route.q);
  $('job').hidden = !route.job;
  $('none-open').hidden = Boolean(route.job);
  opened.show(route);
  drawAround();
}

/** Filters, title, and what is said where nothing is. */
function drawAround() {
  const total = Object.values(list.counts).reduce((sum, n) => sum + n, 0);
  for (const each of $('filters').children) {
    const { state } = each.dataset;
    const n = state ? (list.counts[state] ?? 0) : total;
    each.setAttribute('aria-pressed', String(route.state === state));
    say(each.lastElementChild, n ? String(n) : '');
    each.hidden = Boolean(state) && state !== 'requests' && !n && route.state !== state;
  }
  const batch = list.batches.get(route.batch);
  $('batch-only').hidden = !route.batch;
  say($('batch-only-name'), batch ? batchName(batch) : '');
  const nothing = list.loaded && !list.jobs.size;
  $('empty').hidden = !nothing || Boolean(route.state || route.batch);
  $('empty-filter').hidden = !nothing || $('empty').hidden === false;
  say($('empty-filter-word'), route.state === 'requests' ? 'one that somebody waits for' : route.state ? stateWord(route.state).toLowerCase() : 'here');
  const active = (list.counts.queued ?? 0) + (list.counts.running ?? 0);
  document.title = `${active ? `(${active}) ` : ''}${opened.job ? `${nameOf(opened.job)} · ` : ''}Jobs · WhisperLive Hybrid`;
}

/* ---- what can be done ---- */

async function cancel(id) {
  await attempt(() => api.ask(`api/jobs/${id}/cancel`, { method: 'POST' }));
}

async function retry(id) {
  const done = await attempt(() => api.ask(`api/jobs/${id}/retry`, { method: 'POST' }));
  if (done && id === opened.id) opened.again();
}

async function remove(job) {
  const { job_id: id, clip_id: clip } = job;
  const name = nameOf(job);
  const others = clip ? await attempt(() => api.ask(`api/jobs?clip_id=${clip}&limit=200`)) : { jobs: [] };
  if (!others) return;
  const n = others.jobs.filter((each) => each.job_id !== id).length;
  const more = n ? ` and ${n === 1 ? 'its other transcript' : `its ${n} other transcripts`}` : '';
  const answer = await confirmed({
    title: `Delete “${name}”?`,
    text: 'The transcript is deleted for everybody who uses this server. This cannot be undone.',
    yes: 'Delete',
    choice: clip ? `Delete the audio${more} as well` : '',
  });
  if (!answer) return;
  const path = clip && answer.choice ? `api/audio/${clip}` : `api/jobs/${id}`;
  if (!(await attempt(() => api.ask(path, { method: 'DELETE' })))) return;
  const gone = clip && answer.choice ? [id, ...others.jobs.map((each) => each.job_id)] : [id];
  if (gone.includes(route.job)) go({ job: '', t: null });
  list.remove(gone);
  say($('said'), `${name} was deleted`);
}

async function removeBatch(batch) {
  const whole = await attempt(() => api.ask(`api/jobs/${batch.job_id}`));
  if (!whole) return;
  const answer = await confirmed({
    title: `Delete “${batchName(batch)}”?`,
    text: `All ${whole.jobs.length} transcripts of it are deleted for everybody who uses this server. This cannot be undone.`,
    yes: 'Delete all',
    choice: 'Delete the audio as well',
  });
  if (!answer) return;
  const clips = answer.choice ? [...new Set(whole.jobs.map((job) => job.clip_id).filter(Boolean))] : [];
  if (!(await attempt(() => api.ask(`api/jobs/${batch.job_id}`, { method: 'DELETE' })))) return;
  for (const clip of clips) await attempt(() => api.ask(`api/audio/${clip}`, { method: 'DELETE' }));
  const gone = whole.jobs.map((job) => job.job_id);
  if (gone.includes(route.job)) go({ job: '', t: null });
  list.remove(gone);
  say($('said'), `${batchName(batch)} was deleted`);
}

async function download(path, name) {
  const blob = await attempt(() => api.file(path));
  if (!blob) return;
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function copy(text, from) {
  const was = from.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without https there is no clipboard; a field that is selected can be copied from everywhere.
    const field = document.createElement('textarea');
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
  from.textContent = 'Copied';
  setTimeout(() => { from.textContent = was; }, 1500);
}

/** Do it, then look; what is refused is said. @returns what it gave, true for nothing, null where it failed */
async function attempt(work) {
  try {
    const result = (await work()) ?? true;
    list.refresh();
    return result;
  } catch (error) {
    fail(error);
    list.refresh();
    return null;
  }
}

function filed({ job_id: id, jobs }) {
  say($('said'), jobs.length === 1 ? 'The job is queued' : `${jobs.length} jobs are queued`);
  $('links').value = '';
  $('links-form').hidden = true;
  $('from-links').setAttribute('aria-expanded', 'false');
  const only = jobs.length === 1 && !id.startsWith('batch_') ? { job: jobs[0].job_id, t: null } : {};
  // What was just sent is seen, whatever was looked at.
  location.hash = format({ job: route.job, ...only });
  list.refresh();
}

/* ---- what goes wrong ---- */

function fail(error) {
  const { title, lines, code } = linesOf(error);
  notice.show({ title, lines, code, details: lines.join('\n'), actions: [{ label: 'Dismiss' }] });
  if (code.startsWith('key_')) askKey();
}

function listFailed(error) {
  if (!error) {
    if (unreachable) {
      unreachable = false;
      say($('connection'), '');
      say($('said'), 'Connected again');
      notice.hide();
    }
    return;
  }
  const { title, next, code } = troubleOf(error);
  if (code === 'offline' || error.status === 429 || code === 'draining') {
    unreachable = true;
    say($('connection'), `${title}. Trying again`);
    return;
  }
  if (code === 'no_storage') {
    document.body.dataset.storage = 'none';
    say($('no-storage-words'), next);
    return;
  }
  if ($('notice').hidden) notice.show({ title, lines: [next], code, actions: [{ label: 'Try again', act: () => list.refresh() }] });
  if (code.startsWith('key_')) askKey();
}

function askKey() {
  if (document.activeElement === $('key')) return;
  $('options').open = true;
  $('key').focus();
}

/* ---- wiring ---- */

async function askServer() {
  try {
    const health = await (await fetch(`${api.base}health`)).json();
    say($('note'), noteOf(health));
    $('note').hidden = !$('note').textContent;
    if (health.status === 'loading') setTimeout(askServer, 2000);
    const { data } = await api.ask('v1/models');
    fillModels(data.filter((model) => !model.alias_of).map(({ id }) => id));
  } catch {
    // The list says what is wrong.
  }
}

function offerSent() {
  const before = sentBefore();
  if (!before) return;
  const { clips, n, options } = before;
  const these = clips.length === 1 ? 'it' : 'them';
  notice.show({
    title: 'The page was closed while files were being sent',
    lines: [`${clips.length} of ${n} had arrived and ${clips.length === 1 ? 'is' : 'are'} at the server, not transcribed yet.`],
    actions: [
      { label: `Transcribe ${these}`, act: () => sending.file({ clip_id: clips }, options, []) },
      { label: `Delete ${these}`, act: async () => {
        forget();
        for (const clip of clips) await attempt(() => api.ask(`api/audio/${clip}`, { method: 'DELETE' }));
      } },
    ],
  });
}

$('filters').replaceChildren(
  ...STATES.map((state) => {
    const each = button(state ? stateWord(state) : 'All', () => go({ state, batch: '' }));
    each.dataset.state = state;
    each.append(' ', document.createElement('span'));
    return each;
  }),
);
bindChoices(() => {
  notice.hide();
  askServer();
  list.refresh();
  if (opened.id && !opened.job) opened.again();
});
addEventListener('hashchange', follow);
$('search').addEventListener('input', () => {
  const q = $('search').value;
  // Typing is one step of the history, not one a letter.
  history.replaceState(null, '', format({ ...route, q }));
  follow();
});
$('search-form').addEventListener('submit', (event) => event.preventDefault());
$('back').addEventListener('click', () => go({ job: '', t: null }));
$('all-jobs').addEventListener('click', () => go({ batch: '', state: '' }));
$('clear-filter').addEventListener('click', () => go({ batch: '', state: '' }));
$('choose').addEventListener('click', () => $('files').click());
$('files').addEventListener('change', () => {
  sending.files([...$('files').files]);
  $('files').value = '';
});
$('from-links').addEventListener('click', () => {
  $('links-form').hidden = !$('links-form').hidden;
  $('from-links').setAttribute('aria-expanded', String(!$('links-form').hidden));
  if (!$('links-form').hidden) $('links').focus();
});
$('links-form').addEventListener('submit', (event) => {
  event.preventDefault();
  const urls = $('links').value.split(/\n|\s+(?=https?:)/).map((line) => line.trim()).filter(Boolean);
  if (urls.length) sending.urls(urls);
});
document.addEventListener('dragover', (event) => {
  event.preventDefault();
  if (event.dataTransfer.types.includes('Files')) document.body.dataset.dragging = '';
});
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) delete document.body.dataset.dragging;
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  delete document.body.dataset.dragging;
  sending.files([...event.dataTransfer.files]);
});
document.addEventListener('paste', ({ clipboardData }) => {
  if (clipboardData.files.length) sending.files([...clipboardData.files]);
});
document.addEventListener('click', ({ target }) => {
  for (const menu of document.querySelectorAll('details.menu[open]')) if (!menu.contains(target) || target.closest('.panel button')) menu.open = false;
});
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === 'Escape') for (const menu of document.querySelectorAll('details.menu[open]')) menu.open = false;
  if (event.target.closest('input, select, textarea, audio, dialog')) return;
  // Buttons and links keep the keys that press them.
  if (event.key === ' ' && event.target.closest('button, summary, a')) return;
  if (event.key === '/') $('search').focus();
  else if (!route.job || !opened.key(event)) return;
  event.preventDefault();
});

askServer();
follow();
offerSent();
