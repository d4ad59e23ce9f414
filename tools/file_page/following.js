/* following.js: jobs that are followed until they are over, however often the connection breaks. */
const MOST_STREAMS = 3; /* A browser has six connections to a server: some are left for uploads and questions. */
const SILENT_MS = 25000; /* The server says something every 10 s. */
const POLL_MS = 4000;
const streams = new Set();

function receive(item, event) {
  const changes = told(item, event);
  if (changes.phase === 'running' && !item.began) item.began = Date.now();
  change(item, changes);
  return changes;
}
async function ask(item, path, options = {}) {
  const { headers = {}, ...rest } = options;
  return fetch(item.record.server + path, { cache: 'no-store', ...rest, headers: { ...keyHeaders(item.record.server), ...headers } });
}
const problemIn = async (answer) => problemOf(answer.status, await answer.text().catch(() => ''), answer.headers.get('Retry-After'));
async function follow(item) {
  item.following?.abort();
  const mine = new AbortController();
  item.following = mine;
  let tries = 0;
  while (item.following === mine && items.includes(item) && !OVER.includes(item.phase)) {
    let wait = 0;
    try {
      const asked = item.phase === 'asking' || (!streams.has(item) && streams.size >= MOST_STREAMS);
      const problem = await (asked ? look(item, mine.signal) : listen(item, mine.signal, () => { tries = 0; }));
      if (item.following !== mine) return;
      if (problem === null) wait = asked && item.phase !== 'asking' && streams.size >= MOST_STREAMS ? POLL_MS : 0;
      else if (problem.then === 'later' || problem.code === 'http_404' || (problem.status >= 500 && problem.then === 'no')) {
        wait = Math.max(problem.wait, patience(tries)) * 1000; // the server, or a proxy before it, is unwell: the job is not
        tries += 1;
        change(item, { lost: true, retryAt: Date.now() + wait });
      } else { change(item, { phase: { gone: 'gone', direct: 'gone', key: 'locked' }[problem.then] ?? 'failed', error: problem, lost: false }); break; }
    } catch {
      if (item.following !== mine || !items.includes(item)) return;
      wait = patience(tries) * 1000;
      tries += 1;
      change(item, { lost: true, retryAt: Date.now() + wait });
    }
    if (wait) await Promise.race([pause(wait), new Promise((go) => { item.hurry = go; })]);
  }
  if (item.following === mine) item.following = null;
}
/* One look at the job. Returns the problem, or null. */
async function look(item, signal) {
  const answer = await ask(item, `/api/jobs/${item.record.job}`, { signal: AbortSignal.any ? AbortSignal.any([signal, AbortSignal.timeout(SILENT_MS)]) : signal });
  if (!answer.ok) return problemIn(answer);
  const job = await answer.json();
  if (job.clip_id && item.record.clip !== job.clip_id) { item.record.clip = job.clip_id; note(item); }
  change(item, { ...shownBy(item, job), lost: false });
  if (item.record.linked && !item.record.size && item.record.clip) nameOf(item);
  return null;
}
/* The job's events, behind the segments that are known. Returns the problem, or null; throws where the stream breaks off. */
async function listen(item, signal, heardIt) {
  const mine = new AbortController();
  const stop = () => mine.abort();
  let timer = setTimeout(stop, SILENT_MS);
  signal.addEventListener('abort', stop);
  streams.add(item);
  try {
    const behind = item.segments.length ? { 'Last-Event-ID': String(item.segments.length) } : {};
    const answer = await ask(item, `/api/jobs/${item.record.job}/events?format=ndjson`, { signal: mine.signal, headers: behind });
    if (!answer.ok) return await problemIn(answer);
    change(item, { lost: false });
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(stop, SILENT_MS);
      heardIt();
      const found = linesIn(rest + decoder.decode(value, { stream: true }));
      rest = found.rest;
      for (const line of found.lines) if (receive(item, JSON.parse(line)).broke) throw new Error('the server stops');
    }
    if (!OVER.includes(item.phase)) throw new Error('the stream broke off');
    return null;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    mine.abort();
    streams.delete(item);
  }
}
/* The name of what a link led to. */
async function nameOf(item) {
  try {
    const clip = await (await ask(item, `/api/audio/${item.record.clip}`)).json();
    Object.assign(item.record, { name: clip.name ?? item.record.name, size: clip.bytes ?? 0 });
    note(item);
    change(item, {});
  } catch { /* the job's id serves */ }
}
/* The text of a job that was done before this page looked. */
async function load(item) {
  if (item.phase !== 'done' || item.result || item.loading) return;
  item.loading = true;
  try {
    const answer = await ask(item, `/api/jobs/${item.record.job}/result?format=json`);
    if (answer.ok) receive(item, { type: 'done', transcription: await answer.json() });
    else {
      const problem = await problemIn(answer);
      const phase = { gone: 'gone', key: 'locked' }[problem.then];
      if (phase) change(item, { phase, error: problem });
      else say(`${problem.message} Press the name of ${item.record.name} again later.`);
    }
  } catch { say(`No server answers at ${item.record.server}. The text of ${item.record.name} is shown when it does; press its name again.`); }
  item.loading = false;
}
