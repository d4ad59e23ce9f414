/* list.js: the rows of the files. All changes of an item come by here. */
function drawList() {
  $('list').hidden = !items.length;
  document.body.toggleAttribute('data-working', items.length > 0);
  $('where').textContent = keeps === false ? 'This server keeps no files: leave this page open until the text is there.'
    : items.some(isHere) ? 'Leave this page open until the files are uploaded. The rest goes on at the server.'
    : 'The work goes on at the server: this page may be closed or loaded again.';
  $('forget-all').hidden = !items.some((item) => OVER.includes(item.phase));
  $('keeping').textContent = { true: ' and is kept there, with its text, until it is deleted', false: ', which does not keep it' }[keeps] ?? '';
}
function change(item, changes) {
  const before = item.phase;
  const grew = changes.segments && changes.segments.length === item.segments.length + 1;
  Object.assign(item, changes);
  if (!items.includes(item)) return;
  draw(item);
  if (before !== item.phase) {
    drawList();
    if (item.phase === 'done' && before !== 'asking') {
      document.title = '✓ Transcript ready';
      say(`${item.record.name} is transcribed.`, true);
    } else if (item.phase === 'failed') document.title = 'Failed · WhisperLive Hybrid';
  }
  const wanted = changes.segments?.length || (changes.segments && item === shown) || changes.result || (before !== item.phase && item.phase === 'done');
  if (!wanted) return;
  if (item === shown) show(item, !grew);
  else if (maySurface(item)) show(item, true);
}
/* Whether an item with news is shown by itself: not in the place of one that was chosen, that is still running, or that was
   open before the page was loaded again and is about to be. */
function maySurface(item) {
  if (shown) return !stuck && !['running', 'queued'].includes(shown.phase);
  return item.record.id === opened || !items.some((one) => one.record.id === opened);
}
function draw(item) {
  const { record, phase } = item;
  item.row.setAttribute('aria-current', String(item === shown));
  const words = stateIn(item, Date.now());
  const trouble = item.deleteAt ? null : troubleOf(item);
  const may = actionsFor(item);
  const meter = meterOf(item);
  const openable = phase === 'done' || item.segments.length > 0;
  // The row is built anew only when it has other parts: a button must not be replaced while it is pressed.
  const parts = JSON.stringify([record.name, record.size, openable, may.map(([name]) => name), trouble, meter?.label]);
  if (item.parts !== parts) {
    item.parts = parts;
    const name = button(record.name, () => { stuck = true; show(item, true); reveal(item); }, { className: 'name', dir: 'auto', disabled: !openable });
    const header = make('header', {}, name, make('small', { textContent: record.size ? size(record.size) : '' }), make('span', { className: 'state' }), make('span', { className: 'actions' }, ...may.map(([text, act]) => button(text, act))));
    item.row.replaceChildren(...[header, meter && make('div', { className: 'bar' }, make('span', { textContent: meter.label }), make('progress', { max: '1', 'aria-label': meter.label }), make('span')), trouble && troubleBox(item, trouble)].filter(Boolean));
  }
  const state = item.row.querySelector('.state');
  if (state.textContent !== words) state.textContent = words;
  if (!meter) return;
  const [, progress, text] = item.row.querySelector('.bar').children;
  if (meter.value === null) progress.removeAttribute('value');
  else progress.value = meter.value;
  text.textContent = meter.text;
}
/* What can be done: [button, action], in this order. */
function actionsFor(item) {
  const { record, phase } = item;
  if (item.deleteAt) return [['Undo', () => change(item, { deleteAt: 0 })]];
  const over = OVER.includes(phase);
  return [
    phase === 'held' && ['Try now', () => { item.retryAt = 0; tick(); }],
    item.lost && ['queued', 'running', 'asking'].includes(phase) && ['Try now', () => { item.hurry?.(); }],
    phase === 'cancelled' && ['Try again', () => again(item)],
    !over && phase !== 'broken' && phase !== 'elsewhere' && phase !== 'asking' && !(phase === 'locked' && record.job) && ['Cancel', () => cancel(item)],
    (over || ['broken', 'elsewhere', 'asking', 'locked'].includes(phase)) && ['Forget here', () => forget(item)],
    record.job && ['done', 'failed', 'cancelled'].includes(phase) && ['Delete from server', () => deleteLater(item)],
  ].filter(Boolean);
}
function meterOf(item) {
  if (item.phase === 'uploading') return { label: 'Upload', value: item.record.sent, text: `${Math.floor(item.record.sent * 100)} %  ·  ${size(item.record.sent * item.record.size)} / ${size(item.record.size)}` };
  if (item.phase === 'storing') return { label: 'Upload', value: 1, text: '100 %' };
  if (item.phase !== 'running') return null;
  const { done_s: done = 0, total_s: total = null, seconds_left: left = null, attempts = 1 } = item.progress ?? {};
  if (!done) return { label: 'Transcribe', value: null, text: '' };
  const took = (Date.now() - item.began) / 1000;
  const parts = [total ? `${clock(done)} / ${clock(total)}` : clock(done)];
  if (item.record.direct && took > 1) parts.push(`${(done / took).toFixed(1)}×`);
  if (left !== null && left >= 1) parts.push(`${clock(left)} left`);
  else if (item.record.direct && took > 5 && total) parts.push(`${clock(((total - done) * took) / done)} left`);
  if (attempts > 1) parts.push(`try ${attempts}`);
  return { label: 'Transcribe', value: total ? Math.min(1, done / total) : null, text: parts.join('  ·  ') };
}
function troubleBox(item, { message, kept, advice, code }) {
  const { record, phase } = item;
  const act = phase === 'broken' || (phase === 'gone' && !item.file) || (phase === 'failed' && !record.job && (!item.file || code === 'unreadable'))
    ? button('Choose the file again', () => chooseFor(item)) : phase === 'locked' ? null : button(phase === 'gone' ? 'Upload again' : 'Try again', () => again(item));
  const details = `${code}: ${message}\n${record.name}, ${record.size} bytes\n${record.job ?? ''}\n${JSON.stringify(record.fields)}`;
  return make('div', { className: 'trouble', role: 'alert' },
    make('strong', { textContent: message.charAt(0).toUpperCase() + message.slice(1) }), make('p', { textContent: kept }), make('p', { textContent: advice }),
    make('div', { className: 'buttons' }, ...(act ? [act] : []), button('Copy details', (e) => copy(details, e.target)), make('code', { textContent: code })));
}
/* The same file for an item that has lost its own; another file is an item of its own. */
let choosing = null;
function chooseFor(item) {
  choosing = item;
  $('files').click();
}
function picked(files) {
  const item = choosing;
  choosing = null;
  const own = item && items.includes(item) ? files.find((file) => isSameFile(item.record, file) || file.name === item.record.name) : null;
  if (own) {
    const changed = !isSameFile(item.record, own) || item.phase !== 'broken';
    // Another content, or a job that is gone: under the old key it would be refused, or lead there again.
    Object.assign(item.record, { size: own.size, job: null, clip: null, direct: false, linked: false, ...(changed || !item.record.key ? { key: token() } : {}) });
    resume(item, own);
  } else if (item && files.length) say(`${files[0].name} is another file than ${item.record.name}; it is taken as a new one.`);
  const rest = files.filter((file) => file !== own);
  if (rest.length) { const words = $('said').textContent; add(rest); if (item && !own) say(words); } else next();
}
