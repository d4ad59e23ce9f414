/* notes.js: what the browser remembers of files, this page's address, other tabs. */
const NOTES = 'whisperlive-hybrid.file.';

function note(item) {
  try { localStorage.setItem(NOTES + item.record.id, JSON.stringify(item.record)); } catch { /* known until the page closes, and by its address */ }
  address();
}
function notes() {
  const found = [];
  try {
    for (const name of Object.keys(localStorage)) if (name.startsWith(NOTES)) found.push(parseRecord(localStorage.getItem(name)) ?? (localStorage.removeItem(name), null));
  } catch { /* none */ }
  return found.filter(Boolean).sort((a, b) => a.added - b.added);
}
/* The address of the page names its jobs: as a bookmark or a link it leads back to them. */
function address() {
  const ours = items.filter((item) => item.record.job && item.record.server === base()).sort((a, b) => b.record.added - a.record.added);
  const ids = ours.map((item) => item.record.job);
  const fragment = fragmentOf(ids);
  if (fragment !== location.hash) try { history.replaceState(null, '', fragment || location.pathname + location.search); } catch { /* from disk, where a browser may not allow it */ }
}
function forget(item) {
  items.splice(items.indexOf(item), 1);
  item.following?.abort();
  item.following = null;
  item.request?.abort();
  try { localStorage.removeItem(NOTES + item.record.id); } catch { /* nothing was noted */ }
  item.row.remove();
  address();
  if (active === item) release();
  hide(item);
  drawList();
}
/* Everything this browser knows of, and what the address names. */
function restore() {
  const known = notes();
  for (const old of known.slice(0, -MOST_RECORDS)) try { localStorage.removeItem(NOTES + old.id); } catch { /* it stays */ }
  for (const record of known.slice(-MOST_RECORDS)) enter(record, null, phaseOf(record, Date.now()));
  adopt();
}
function adopt() {
  for (const job of idsIn(location.hash)) {
    if (items.some((item) => item.record.job === job)) continue;
    const record = newRecord({ name: job, size: 0 }, { id: token(), key: '', server: base(), fields: {}, format: 'json', now: Date.now() });
    enter({ ...record, job, linked: true }, null, 'asking');
  }
}
function enter(record, file, phase, before = $('jobs').firstElementChild) {
  const item = { record, file, phase, progress: null, segments: [], result: null, error: null, tries: 0, lost: false, retryAt: 0 };
  items.push(item);
  item.row = make('li', { className: 'job' });
  $('jobs').insertBefore(item.row, before);
  drawList();
  draw(item);
  if (record.job || file) note(item);
  if (record.job) follow(item);
}
/* What other tabs note and forget. */
function heard(name, text) {
  if (!name?.startsWith(NOTES)) return;
  const item = items.find((one) => NOTES + one.record.id === name);
  const record = text === null ? null : parseRecord(text);
  if (!record) {
    if (item && !['waiting', 'uploading', 'storing', 'held'].includes(item.phase)) forget(item);
  } else if (!item) {
    if (!items.some((one) => record.job && one.record.job === record.job)) enter(record, null, phaseOf(record, Date.now()));
  } else if (['elsewhere', 'broken'].includes(item.phase)) {
    item.record = record;
    change(item, { phase: phaseOf(record, Date.now()) });
    if (record.job) follow(item);
  }
}
