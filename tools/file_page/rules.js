/* rules.js, pure: what is remembered of a file, what is told of it, and what follows from that.

A record is what survives the page: {id, server, name, size, added, key, fields, format, job, clip, sent, beat, direct}.
`key` is the Idempotency-Key, made before the upload: however often that is tried, there is one job. `sent` is the part that was
sent, `beat` when the uploading page last said that it still uploads (0: it has stopped).

An item is a record on this page, with a phase:
  waiting → uploading → storing → queued → running → done | failed | cancelled
  held (tried again at a time), asking (remembered, the server has not said yet), elsewhere (another tab uploads it),
  broken (the upload ended with its page), locked (a key is needed), gone (the server does not have it any more). */
const BEAT_MS = 90000;
const MOST_RECORDS = 50;
const OVER = ['done', 'failed', 'cancelled', 'gone'];

function newRecord(file, { id, key, server, fields, format, now }) {
  return { id, key, server, fields, format, name: file.name, size: file.size, added: now, job: null, clip: null, sent: 0, beat: now, direct: false };
}
/* A record out of the browser's notes; null for what is none. */
function parseRecord(text) {
  let given;
  try { given = JSON.parse(text); } catch { return null; }
  const has = (name, type) => typeof given?.[name] === type;
  if (!['id', 'key', 'server', 'name'].every((name) => has(name, 'string')) || !['size', 'added'].every((name) => has(name, 'number'))) return null;
  if (given.job !== null && !/^job_\w{1,60}$/.test(given.job)) return null;
  return { clip: null, sent: 0, beat: 0, direct: false, format: 'json', ...given, fields: { ...given.fields } };
}
/* The phase of a record that another page, or this one before it was loaded again, has left. */
function phaseOf(record, now) {
  if (record.job) return 'asking';
  return now - record.beat < BEAT_MS ? 'elsewhere' : 'broken';
}
/* As far as can be told: another content under the old key is refused, and then sent under a new one. */
const isSameFile = (record, file) => record.name === file.name && record.size === file.size;
const idsIn = (fragment) => [...new Set(/[#&]jobs=([^&]*)/.exec(fragment)?.[1].split(',').filter((id) => /^job_\w{1,60}$/.test(id)))];
const fragmentOf = (ids) => (ids.length ? `#jobs=${ids.slice(0, 30).join(',')}` : '');
/* Seconds until the n-th try. */
const patience = (n) => [1, 2, 4, 8, 15][n] ?? 30;
/* Whole lines of a stream, and the rest that is not one yet. */
function linesIn(text) {
  const lines = text.split('\n');
  const rest = lines.pop();
  return { lines: lines.filter((line) => line.trim()), rest };
}

/* What a refused request means. `then`: later (in `wait` seconds), key, gone, direct (no such route or no jobs here), rekey, no. */
function problemOf(status, body, retryAfter = null) {
  let error = {};
  try { error = JSON.parse(body).error ?? {}; } catch { /* a proxy's page, not ours */ }
  const code = typeof error.code === 'string' ? error.code : `http_${status}`;
  const plainly = {
    401: 'The server asks for an API key.', 403: 'The server does not let this page in.', 404: 'The server does not know this any more.',
    413: 'The file is larger than this server, or a proxy before it, allows.', 415: 'The server takes no file of this kind.', 429: 'The server is full.',
    502: 'The proxy before the server does not reach it.', 503: 'The server cannot take it now.', 504: 'The proxy before the server lost patience.', 507: 'The server’s disk is full.',
  };
  const message = typeof error.message === 'string' && error.message ? error.message : plainly[status] ?? `The server answered ${status}.`;
  const wait = Number(error.retry_after_s ?? retryAfter) || 0;
  let then = 'no';
  if (status === 401 || code === 'key_missing' || code === 'key_unknown') then = 'key';
  else if (code === 'no_storage' || code === 'no_such_path' || status === 405 || (status === 404 && code === 'http_404')) then = 'direct';
  else if (status === 404) then = 'gone';
  else if (code === 'idempotency_key_reused') then = 'rekey';
  else if ((status === 429 || status === 503) && wait > 0) then = 'later';
  else if (status === 502 || status === 504 || (status === 503 && code === 'http_503')) then = 'later';
  return { status, code, message, accepted: Array.isArray(error.accepted) ? error.accepted : [], wait: wait || 5, then };
}

/* The job that an upload has become; null where the answer tells of none. */
function jobIn(text) {
  try {
    const made = JSON.parse(text);
    return /^job_\w{1,60}$/.test(made.job_id) ? made : null;
  } catch { return null; }
}

/* What one event of a job changes of an item. Segments come in order; after a lost connection some may come twice. */
function told(item, event) {
  const numbered = (segment) => segment.id ?? item.segments.length;
  if (event.type === 'progress') {
    const phase = ['queued', 'running', 'failed', 'cancelled'].includes(event.state) ? event.state : item.phase;
    return { phase: phase === 'failed' ? item.phase : phase, progress: event };
  }
  if (event.type === 'segment') {
    const segment = event.segment ?? event;
    return numbered(segment) < item.segments.length ? {} : { segments: [...item.segments, segment] };
  }
  if (event.type === 'done') {
    const { type, transcription, ...rest } = event;
    const result = transcription ?? rest;
    return { phase: 'done', result, segments: result.segments ?? [], error: null };
  }
  if (event.type !== 'error') return {};
  const error = event.error ?? event;
  if (error.code === 'no_such_job') return { phase: 'gone', error };
  if (error.code === 'job_cancelled') return { phase: 'cancelled' };
  return item.progress?.state === 'failed' || item.record.direct ? { phase: 'failed', error } : { broke: true };
}
/* What GET /api/jobs/{id} changes of an item. */
function shownBy(item, job) {
  const changes = { phase: job.state, progress: job };
  if (job.state === 'failed') changes.error = job.error ?? { code: 'failed', message: 'The job failed.' };
  return changes;
}

/* An item's state in words, at a time in ms. */
function stateIn(item, now) {
  const until = Math.max(0, Math.ceil((item.retryAt - now) / 1000));
  if (item.deleteAt) return `Deleting from the server in ${Math.max(0, Math.ceil((item.deleteAt - now) / 1000))} s`;
  if (item.phase === 'held') return item.reason === 'offline' ? `No connection. Trying again in ${until} s` : `${item.reason} Trying again in ${until} s`;
  if (item.lost && ['queued', 'running', 'asking'].includes(item.phase)) return until ? `Connection lost, the job goes on. Trying again in ${until} s` : 'Connection lost. Trying again';
  const place = item.progress?.queue_place;
  const stages = { decoding: 'Reading', transcribing: 'Transcribing', diarizing: 'Telling speakers apart', queued: 'Waiting' };
  return {
    waiting: 'Waiting', uploading: 'Uploading', storing: 'Sent, the server looks at it', asking: 'Asking the server', elsewhere: 'Being uploaded in another tab',
    broken: 'Not uploaded', locked: 'API key needed', queued: place === 0 ? 'Next in the queue' : place ? `In the queue, ${place} before it` : 'In the queue',
    running: stages[item.progress?.stage] ?? 'Starting', done: 'Done', failed: 'Failed', cancelled: 'Cancelled', gone: 'Not on the server any more',
  }[item.phase];
}
/* Why it stands still, what is left of it, and what to do: null where nothing needs to be said. */
function troubleOf(item) {
  const { record, error, phase } = item;
  const again = item.file ? 'Upload it again.' : 'Choose the file again.';
  if (phase === 'broken') {
    const far = record.direct ? 'The page was closed before the text was there, and this server keeps no files.'
      : record.sent >= 1 ? 'The page was closed after all was sent, but before the server had said that it has it.'
      : record.sent > 0 ? `The upload was broken off at ${Math.floor(record.sent * 100)} %, when the page was closed.` : 'The page was closed before the file was uploaded.';
    return { message: far, kept: 'A page that is loaded again does not get its files back from the browser.', advice: 'Choose the file again; it is not done twice.', code: 'upload_broken_off' };
  }
  if (phase === 'gone') {
    const kept = item.segments.length ? 'What was shown of it stays below until this page is closed.' : '';
    return { message: 'The server does not have this job any more.', kept: [error?.message, kept].filter(Boolean).join(' '), advice: `It was deleted there, or its time was over. ${again}`, code: error?.code ?? 'no_such_job' };
  }
  if (phase === 'locked') return { message: error.message, kept: record.job ? 'The job goes on; only this page may not see it.' : 'The file waits here.', advice: 'Enter the API key under More options; then it goes on by itself.', code: error.code };
  if (phase !== 'failed') return null;
  const small = 'Send a shorter or compressed recording: as Opus or MP3 an hour takes about 15 to 30 MB.';
  const advice = {
    too_large: small, body_too_large: small, file_too_large: small, http_413: small,
    unreadable: 'Choose it again.', upload_breaks: 'A proxy may allow smaller files only, or the network is bad. Try again, or send a smaller file.',
    disk_full: 'Delete old recordings on the server, then try again.', http_507: 'Delete old recordings on the server, then try again.',
    cut_off: 'The server may have been restarted. Try again.', origin_refused: 'Open the page from the server itself, or list its address in CORS_ORIGINS.',
  }[error.code] ?? (error.accepted?.length ? `Accepted: ${error.accepted.join(', ')}.` : 'Change the options or choose another file, then try again.');
  const kept = item.segments.length ? `The first ${item.segments.length} segments are kept below.` : record.job ? 'The file is on the server still.' : 'The file was not changed; nothing of it stays on the server.';
  return { message: error.message, kept, advice, code: error.code };
}
