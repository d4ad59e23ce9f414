/* actions.js: cancel, try again, delete; and what time does. */
const UNDO_MS = 8000;

async function cancel(item) {
  if (item.phase === 'storing') item.unwanted = true; /* all is sent: there will be a job, which is cancelled then */
  else if (item.request && item.phase !== 'held') item.request.abort();
  else if (!item.record.job) settle(item, { phase: 'cancelled' });
  else await post(item, 'cancel');
}
async function post(item, what) {
  try {
    const answer = await ask(item, `/api/jobs/${item.record.job}/${what}`, { method: 'POST' });
    if (answer.ok) change(item, { ...shownBy(item, await answer.json()), lost: false });
    else {
      const problem = await problemIn(answer);
      if (problem.then === 'gone') change(item, { phase: 'gone', error: problem });
      else if (problem.status !== 409) say(problem.message);
      else if (OVER.includes(item.phase)) { change(item, { phase: 'asking' }); follow(item); }
    }
  } catch { say(`No server answers at ${item.record.server}; nothing was changed. Try again when it does.`); }
}
async function again(item) {
  const { record } = item;
  const fields = chosen();
  const same = JSON.stringify(fields) === JSON.stringify(record.fields);
  Object.assign(item, { tries: 0, rekeyed: false, began: 0 });
  record.format = $('format').value;
  if (record.job && item.phase !== 'gone' && (same || record.linked || !record.clip)) {
    await post(item, 'retry');
    if (['queued', 'running'].includes(item.phase)) { change(item, { segments: [], result: null, error: null }); follow(item); }
  } else if (record.job && item.phase !== 'gone') {
    const wanted = JSON.stringify({ clip_id: record.clip, options: fields });
    if (item.remade?.wanted !== wanted) item.remade = { wanted, key: token() };
    try {
      const answer = await ask(item, '/api/jobs', { method: 'POST', headers: { 'Content-Type': 'application/json', 'Idempotency-Key': item.remade.key }, body: wanted });
      if (!answer.ok) {
        const problem = await problemIn(answer);
        change(item, { phase: problem.then === 'gone' ? 'gone' : 'failed', error: problem });
        return;
      }
      item.remade = null;
      record.fields = fields;
      Object.assign(item, { segments: [], result: null, progress: null });
      filed(item, { ...(await answer.json()), clip_id: record.clip });
    } catch { say(`No server answers at ${record.server}. Try again when it does.`); }
  } else if (item.file) {
    if (!same || item.phase === 'gone') record.key = token();
    Object.assign(record, { fields, job: null, clip: null, direct: false });
    resume(item, item.file);
    next();
  } else chooseFor(item);
}
/* Nothing is deleted before the time to think better of it is over. */
function deleteLater(item) {
  change(item, { deleteAt: Date.now() + UNDO_MS });
}
async function deleteNow(item) {
  change(item, { deleteAt: 0 });
  const { job, clip, linked } = item.record;
  try {
    if (!OVER.includes(item.phase)) await post(item, 'cancel');
    const answer = await ask(item, clip && !linked ? `/api/audio/${clip}` : `/api/jobs/${job}`, { method: 'DELETE' });
    if (answer.ok || answer.status === 404) {
      say(linked ? `The text of ${item.record.name} is deleted from the server; the recording, which was not uploaded here, is not.` : `${item.record.name} is deleted from the server.`);
      forget(item);
    }
    else say((await problemIn(answer)).message);
  } catch { say(`No server answers at ${item.record.server}; ${item.record.name} was not deleted.`); }
}
/* Twice a second: waits that are over, uploads of other tabs that have gone silent. */
function tick() {
  const now = Date.now();
  for (const item of [...items]) {
    if (isHere(item) && now - item.record.beat > BEAT_MS / 4) { item.record.beat = now; note(item); }
    if (item.phase === 'held' && now >= item.retryAt) { change(item, { phase: 'waiting' }); start(item); }
    else if (item.deleteAt && now >= item.deleteAt) deleteNow(item);
    else if (item.phase === 'elsewhere' && phaseOf(item.record, now) === 'broken') change(item, { phase: 'broken' });
    else if (item.phase === 'held' || item.deleteAt || item.lost) draw(item);
  }
}
/* The network is back, or a key was given. */
function hurry(unlock = false) {
  for (const item of items) {
    item.hurry?.();
    if (item.phase === 'held' && item.reason === 'offline') item.retryAt = 0;
    if (!unlock || item.phase !== 'locked') continue;
    change(item, { phase: item.record.job ? 'asking' : 'waiting', error: null });
    if (item.record.job) follow(item);
    else next();
  }
}
const isHere = (item) => !item.record.job && !['broken', 'elsewhere', ...OVER].includes(item.phase);
function leave() {
  for (const item of items.filter(isHere)) {
    item.record.beat = 0;
    note(item);
  }
}
