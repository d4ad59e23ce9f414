/* uploads.js: files on their way to the server, one at a time. */
function add(files) {
  say('', true);
  stuck = false;
  const [now, before] = [Date.now(), $('jobs').firstElementChild];
  for (const [i, file] of files.entries()) {
    const known = items.find((item) => item.phase === 'broken' && item.record.server === base() && isSameFile(item.record, file));
    if (known) resume(known, file);
    else enter(newRecord(file, { id: token(), key: token(), server: base(), fields: chosen(), format: $('format').value, now: now - i }), file, 'waiting', before);
  }
  $('jobs').firstElementChild?.scrollIntoView({ block: 'nearest' });
  next();
}
/* The same file again: under the same key it cannot become a second job. */
function resume(item, file) {
  item.file = file;
  Object.assign(item.record, { sent: 0, beat: Date.now() });
  change(item, { phase: 'waiting', tries: 0 });
  note(item);
}
function release() {
  active = null;
  next();
}
function next() {
  if (active) return;
  active = items.find((item) => item.phase === 'waiting') ?? null;
  if (active) start(active);
}
async function start(item) {
  if (keeps === null) await askServer();
  if (active !== item || item.phase !== 'waiting') return;
  if (keeps === false) direct(item);
  else upload(item);
}
function requestFor(item, path) {
  const request = new XMLHttpRequest();
  item.request = request;
  request.open('POST', item.record.server + path);
  for (const [name, value] of Object.entries(keyHeaders(item.record.server))) request.setRequestHeader(name, value);
  request.upload.onprogress = ({ loaded, total }) => {
    if (Date.now() - item.record.beat > 2000) { item.record.beat = Date.now(); note(item); }
    item.record.sent = loaded / total;
    change(item, {});
  };
  request.onerror = () => broke(item);
  request.onabort = () => { if (items.includes(item)) settle(item, { phase: 'cancelled' }); };
  return request;
}
function bodyOf(item) {
  const form = new FormData();
  for (const [name, value] of Object.entries(item.record.fields)) form.append(name, value);
  form.append('file', item.file, item.record.name);
  return form;
}
function upload(item) {
  const request = requestFor(item, '/upload+transcribe');
  request.setRequestHeader('Accept', 'application/json');
  request.setRequestHeader('Idempotency-Key', item.record.key);
  request.upload.onload = () => { if (item.phase === 'uploading') { item.record.sent = 1; change(item, { phase: 'storing' }); note(item); } };
  request.onload = () => {
    const made = request.status >= 200 && request.status < 300 ? jobIn(request.responseText) : undefined;
    if (made) filed(item, made);
    else if (made === null) settle(item, { phase: 'failed', error: { code: 'strange_answer', message: 'What answered is no WhisperLive server.' } });
    else refused(item, request);
  };
  item.record.sent = 0;
  change(item, { phase: 'uploading', error: null, segments: [], result: null, progress: null });
  request.send(bodyOf(item));
}
function filed(item, { job_id: job, clip_id: clip }) {
  Object.assign(item.record, { job, clip: clip ?? item.record.clip, sent: 1, linked: false });
  note(item);
  const unwanted = item.unwanted;
  settle(item, { phase: 'queued', tries: 0 });
  if (unwanted) cancel(item);
  follow(item);
}
/* The upload is over, well or not: the next one's turn. */
function settle(item, changes) {
  item.request = null;
  item.unwanted = false;
  item.record.beat = 0;
  change(item, changes);
  // Without a job nothing can be found again: it is over when the page closes.
  if (!item.record.job && OVER.includes(item.phase)) try { localStorage.removeItem(NOTES + item.record.id); } catch { /* not noted */ }
  if (active === item) release();
}
function refused(item, request) {
  const problem = problemOf(request.status, request.responseText, request.getResponseHeader('Retry-After'));
  if (problem.then === 'direct' && !item.record.direct) { keeps = false; drawList(); direct(item); return; }
  if (problem.then === 'rekey' && !item.rekeyed) { item.rekeyed = true; item.record.key = token(); note(item); upload(item); return; }
  if (problem.then === 'later' && !item.unwanted) { hold(item, `${problem.message.replace(/\.?$/, '.')}`, problem.wait); return; }
  settle(item, { phase: item.unwanted ? 'cancelled' : problem.then === 'key' ? 'locked' : 'failed', error: problem });
}
function hold(item, reason, seconds) {
  item.record.sent = 0; // of this try nothing is left
  change(item, { phase: 'held', reason, retryAt: Date.now() + seconds * 1000 });
}
/* A connection that broke while the file was sent: was it the file, the server, or what lies between? */
async function broke(item) {
  if (!items.includes(item)) return;
  if (item.unwanted) {
    say(`${item.record.name} is cancelled, but the connection broke before the server had answered: look at its jobs whether it had begun.`);
    settle(item, { phase: 'cancelled' });
    return;
  }
  item.request = null;
  if (item.phase === 'storing') change(item, { phase: 'uploading' });
  if (item.record.direct && item.segments.length) { settle(item, { phase: 'failed', error: { code: 'cut_off', message: 'The connection broke.' } }); return; }
  try { await item.file.slice(0, 1).arrayBuffer(); } catch {
    settle(item, { phase: 'failed', error: { code: 'unreadable', message: 'The file cannot be read any more: it was changed, moved or deleted.' } });
    return;
  }
  item.tries += 1;
  keeps = null;
  const there = await fetch(`${item.record.server}/health/live`, { cache: 'no-store' }).then(() => true, () => false);
  if (!['uploading', 'running'].includes(item.phase)) return;
  if (there && item.tries >= 3) settle(item, { phase: 'failed', error: { code: 'upload_breaks', message: 'The connection broke three times during the upload, though the server answers.' } });
  else hold(item, there ? 'The connection broke.' : 'offline', patience(item.tries - 1));
}

/* A server that keeps nothing: one request, whose answer is the transcript as it comes. */
function direct(item) {
  item.record.direct = true;
  const request = requestFor(item, '/transcribe');
  let read = 0;
  request.setRequestHeader('Accept', 'application/x-ndjson');
  const take = (last) => {
    const { lines, rest } = linesIn(request.responseText.slice(read) + (last ? '\n' : ''));
    read = request.responseText.length - (last ? 0 : rest.length);
    for (const line of lines) receive(item, JSON.parse(line));
  };
  request.upload.onload = () => { if (item.phase === 'uploading') change(item, { phase: 'running', began: Date.now() }); };
  request.onprogress = () => { if (request.status === 200) take(false); };
  request.onload = () => {
    if (request.status !== 200) { refused(item, request); return; }
    take(true);
    if (item.phase === 'done') settle(item, {});
    else settle(item, { phase: 'failed', error: item.error ?? { code: 'cut_off', message: 'The answer ended too early.' } });
  };
  item.record.sent = 0;
  change(item, { phase: 'uploading', error: null, segments: [], result: null, progress: null });
  note(item);
  request.send(bodyOf(item));
}
