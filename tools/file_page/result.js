/* result.js: the text of one item, played along. */
let shown = null; /* The item whose text is open. */
let stuck = false; /* It was chosen: no other takes its place by itself. */
let tab = 'text';
let opened = null; /* The id of what was open before. */
try { opened = sessionStorage.getItem(`${NOTES}open`); } catch { /* nothing was */ }
let units = [];
let following = null;
function show(item, whole) {
  const before = shown;
  shown = item;
  load(item);
  if (before !== item) {
    opened = null;
    try { sessionStorage.setItem(`${NOTES}open`, item.record.id); } catch { /* the newest is opened then */ }
    listenTo(item);
    if (before) draw(before);
    tab = { text: 'text', srt: 'raw', vtt: 'raw' }[item.record.format] ?? 'text';
    whole = true;
  }
  draw(item);
  $('result').hidden = false;
  place();
  const there = item.record.job ? [' · ', make('a', { href: `${item.record.server}/jobs#job=${item.record.job}`, textContent: 'Open in Jobs' })] : [];
  $('facts').replaceChildren(factsOf(item), ...there);
  $('tab-raw').textContent = { text: 'Plain', srt: 'SRT', vtt: 'WebVTT' }[item.record.format] ?? 'JSON';
  if (whole || tab === 'raw') panel();
  else append(item.segments.at(-1));
}
/* The text stands beside the files where there is room for both, else under the row that it is of. */
const beside = matchMedia('(min-width: 1080px)');
const under = make('li', { className: 'under' });
function place() {
  const result = $('result');
  if (shown && !beside.matches) {
    if (shown.row.nextElementSibling !== under) shown.row.after(under);
    if (result.parentElement !== under) under.append(result);
  } else if (result.parentElement === under) {
    document.querySelector('main').append(result);
    under.remove();
  }
}
function reveal(item) {
  if (beside.matches) $('result').scrollTop = 0;
  else item.row.scrollIntoView();
}
function hide(item) {
  if (item !== shown) return;
  shown = null;
  stuck = false;
  $('result').hidden = true;
  place();
  silence();
}
function silence() {
  if ($('audio').src.startsWith('blob:')) URL.revokeObjectURL($('audio').src);
  $('audio').removeAttribute('src');
}
/* What is heard: the file itself, or where the page has it no more, what the server keeps. */
async function listenTo(item) {
  silence();
  const { clip, server } = item.record;
  $('player').hidden = !item.file && !clip;
  if ($('player').hidden) return;
  if (item.file) $('audio').src = URL.createObjectURL(item.file);
  else if (!keyHeaders(server).Authorization) $('audio').src = `${server}/api/audio/${clip}/content`;
  else try {
    // The player sends no key: it gets a link that needs none.
    const answer = await ask(item, `/api/audio/${clip}/link`);
    const { url } = await answer.json();
    if (answer.ok && shown === item) $('audio').src = server + url;
  } catch { /* the text is there all the same */ }
  $('audio').playbackRate = Number($('speed').value);
}
function factsOf({ record, result, phase }) {
  if (!result) return `${record.name} · ${phase === 'done' ? 'the text is being fetched' : 'text appears as it is found'}`;
  const about = { model: result.info?.transcription_options?.model, ...result.info, ...result };
  return [record.name, about.model, about.language && languageName(about.language), about.duration !== undefined && `${clock(about.duration)} of audio`, about.duration_after_vad !== undefined && `${clock(about.duration_after_vad)} of speech`, about.warning].filter(Boolean).join(' · ');
}
function languageName(code) {
  try { return new Intl.DisplayNames(undefined, { type: 'language' }).of(code === 'jw' ? 'jv' : code); } catch { return code; }
}
function panel() {
  units = [];
  for (const each of document.querySelectorAll('[role="tab"]')) {
    each.setAttribute('aria-selected', String(each.dataset.tab === tab));
    each.tabIndex = each.dataset.tab === tab ? 0 : -1;
  }
  $('panel').setAttribute('aria-labelledby', `tab-${tab}`);
  $('panel').replaceChildren();
  $('copy').hidden = tab === 'code';
  if (!shown) return;
  if (tab === 'code') { $('panel').append(code(shown)); return; }
  if (shown.phase === 'done' && shown.result && !shown.segments.length) {
    $('panel').append(make('p', { className: 'none', textContent: 'No speech was found in this file. If there is some, lower the speech threshold under More options, or check that the right channel was recorded.' }));
    return;
  }
  if (tab === 'raw') { $('panel').append(make('pre', { textContent: raw(shown) })); return; }
  $('panel').append(tab === 'text' ? make('div', { className: 'text' }) : make('ul', { className: 'segments' }));
  shown.segments.forEach(append);
}
function append(segment) {
  const list = $('panel').firstElementChild;
  if (!list || !segment) return;
  const name = speakerOf(segment);
  const last = units.at(-1);
  const speaks = name !== null && name !== last?.name ? [make('b', { textContent: `${name}: ` })] : [];
  if (tab === 'segments') {
    const row = make('li', {}, make('button', { type: 'button', textContent: `${clock(segment.start)} – ${clock(segment.end)}`, onclick: () => seek(segment.start) }), make('span', { dir: 'auto' }, ...speaks, segment.text.trim()));
    list.append(row);
    units.push({ start: segment.start, end: segment.end, element: row, name });
  } else if (tab === 'text') {
    // Segments of one speaker that follow each other within a second are one paragraph.
    let line = list.lastElementChild;
    if (!line || segment.start - last.end > 1 || speaks.length) { line = make('p', { dir: 'auto' }, ...speaks); list.append(line); }
    else if (!/^\s/.test(segment.text)) line.append(' ');
    for (const { gap, text, start, end } of pieces(segment)) {
      if (gap) line.append(gap);
      const element = make('span', { 'data-start': start, textContent: text });
      line.append(element);
      units.push({ start, end, element, name });
    }
  }
}
function seek(seconds) {
  $('audio').currentTime = seconds;
  $('audio').play().catch(() => { /* a format the browser cannot play: the text is there all the same */ });
  highlight();
}
function highlight() {
  const now = $('audio').currentTime;
  const at = units.find((unit) => now >= unit.start - 0.02 && now < Math.max(unit.end, unit.start + 0.1)) ?? null;
  if (at !== following) {
    following?.element.classList.remove('now');
    at?.element.classList.add('now');
    following = at;
  }
  if (!$('audio').paused) requestAnimationFrame(highlight);
}
