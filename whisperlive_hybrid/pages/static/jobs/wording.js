/** What the page says about jobs: their fields in, words for people out. Pure. */

const STATE_WORDS = { queued: 'Waiting', running: 'Running', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', requests: 'Requests' };

/** 0:05, 12:34 or 1:02:03. @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const two = (n) => String(n).padStart(2, '0');
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

/** About how long something takes, rounded to what can be told. @param {number} seconds */
export function about(seconds) {
  if (seconds < 1.5) return 'a moment';
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${Math.round(bytes / 1e3)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/** How long ago, or the day. @param {string} iso @param {Date} now */
export function when(iso, now) {
  const at = new Date(iso);
  const s = (now.getTime() - at.getTime()) / 1000;
  if (s < 60) return 'just now';
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  const time = at.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' });
  return at.toDateString() === now.toDateString() ? time : `${at.toLocaleDateString()} ${time}`;
}

/** What people call a job. @param {{name: string | null, source_url: string | null, job_id: string}} job */
export function nameOf({ name, source_url: url, job_id: id, kept, route }) {
  if (name) return name;
  if (kept === false) return `Request to ${route}`;
  if (!url) return id;
  try {
    const { pathname, host } = new URL(url);
    return decodeURIComponent(pathname.split('/').filter(Boolean).at(-1) ?? host);
  } catch {
    return url;
  }
}

/** The word for a state. @param {string} state */
export const stateWord = (state) => STATE_WORDS[state] ?? state;

/** One line about how a job is. @param {object} job as /api/jobs has it */
export function stateLine(job) {
  const { state, queue_place: place, attempts } = job;
  if (state === 'queued') {
    if (attempts > 0 && job.error) return `Trying again soon (${attempts} failed)`;
    if (place === 0) return 'Waiting: next';
    return place ? `Waiting: ${place} before it` : 'Waiting';
  }
  if (state !== 'running') return stateWord(state);
  if (job.stage === 'diarizing') return 'Telling speakers apart';
  if (job.stage === 'decoding' && !job.done_s) return job.source_url && !job.clip_id ? 'Fetching the file' : 'Reading the file';
  const left = job.seconds_left === null || job.seconds_left === undefined ? '' : `, ${about(job.seconds_left)} left`;
  return `${Math.floor(job.progress * 100)} %${left}`;
}

/** One line about a batch. @param {object} batch as /api/jobs lists it */
export function batchLine({ counts, state }) {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const some = ['failed', 'cancelled'].filter((name) => counts[name]).map((name) => `${counts[name]} ${name}`);
  const done = counts.done ?? 0;
  const head = state === 'running' || state === 'queued' || some.length ? `${done} of ${total} done` : total === 1 ? '1 file done' : `All ${total} done`;
  return [head, ...some].join(', ');
}

/** What a batch is called. @param {{name: string, counts: object}} batch */
export function batchName({ name, counts }) {
  return name || `${Object.values(counts).reduce((sum, n) => sum + n, 0)} files`;
}

/** Whether anything may still happen to a job by itself. */
export const isActive = ({ state }) => state === 'queued' || state === 'running';

/**
 * What the page says of an error: title, what to do, and the code to tell others.
 * @param {{code: string, message: string, status: number}} error
 */
export function troubleOf({ code, message, status }) {
  const known = {
    key_missing: ['The server asks for an API key', 'Enter it under Options.'],
    key_unknown: ['The server does not know this API key', 'Correct it under Options.'],
    no_storage: ['This server keeps no clips and no jobs', `${message} Files can still be transcribed one by one on the page Files.`],
    offline: ['The server cannot be reached', 'This page tries again by itself. Jobs that were filed go on without it.'],
    no_such_job: ['This job is not there', 'It was deleted, or the link is from another server.'],
    payload_too_large: [message, 'Send a shorter or more compressed file.'],
  };
  if (known[code]) return { title: known[code][0], next: known[code][1], code };
  if (status === 413) return { title: 'The file is too large', next: message, code };
  return { title: message || `The server answered ${status}`, next: '', code };
}

/** The same for a banner: where several things are wrong, each has a line. @param {import('./api.js').ApiError} error */
export function linesOf(error) {
  const { title, next, code } = troubleOf(error);
  if (!error.all?.length) return { title, lines: [next], code };
  return { title: `${error.all.length} things are wrong; nothing was queued`, lines: error.all, code };
}

/** SPEAKER_00 is Speaker 1 to people. @param {string} label */
export function speakerName(label) {
  const number = /^SPEAKER_(\d+)$/.exec(label)?.[1];
  return number === undefined ? label : `Speaker ${Number(number) + 1}`;
}
