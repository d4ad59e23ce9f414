/* main.js: the page is put together. */
const LANGUAGES = 'en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue';
const names = new Intl.DisplayNames(undefined, { type: 'language', fallback: 'code' });
const named = LANGUAGES.split(' ').map((c) => [c, names.of(c === 'jw' ? 'jv' : c)]).sort((a, b) => a[1].localeCompare(b[1]));
$('language').replaceChildren(new Option('Detect', 'auto'), ...named.map(([c, name]) => new Option(name, c)));
const wished = recall().model ?? '';
$('server-field').hidden = !fromDisk;
$('record').hidden = !(window.isSecureContext && navigator.mediaDevices && window.MediaRecorder);
if (fromDisk) $('home').removeAttribute('href');
restore();
askServer();
setInterval(tick, 500);

$('form').addEventListener('submit', (event) => event.preventDefault());
$('form').addEventListener('change', remember);
$('server').addEventListener('change', () => { keeps = null; askServer(); address(); });
$('key').addEventListener('change', () => { askServer(); hurry(true); });
$('forget-all').addEventListener('click', () => { for (const item of items.filter((one) => OVER.includes(one.phase))) forget(item); });
$('theme').addEventListener('change', () => { document.documentElement.dataset.theme = $('theme').value; remember(); });
$('choose').addEventListener('click', () => { choosing = null; $('files').click(); });
$('files').addEventListener('change', () => { const files = [...$('files').files]; $('files').value = ''; picked(files); });
$('record').addEventListener('click', record);
$('sample').addEventListener('click', sample);
$('copy').addEventListener('click', () => copy(tab === 'raw' ? raw(shown) : textOf(shown), $('copy')));
for (const each of document.querySelectorAll('[data-save]')) each.addEventListener('click', () => save(shown, each.dataset.save));
beside.addEventListener('change', place);
$('back').addEventListener('click', () => { $('audio').currentTime -= 5; highlight(); });
$('ahead').addEventListener('click', () => { $('audio').currentTime += 5; highlight(); });
$('speed').addEventListener('change', () => { $('audio').playbackRate = Number($('speed').value); });
for (const type of ['play', 'seeked', 'pause']) $('audio').addEventListener(type, highlight);
$('panel').addEventListener('click', ({ target }) => {
  if (target.dataset?.start !== undefined && document.getSelection().isCollapsed) seek(Number(target.dataset.start));
});
for (const each of document.querySelectorAll('[role="tab"]')) each.addEventListener('click', () => { tab = each.dataset.tab; panel(); });
$('tabs').addEventListener('keydown', (event) => {
  const all = [...document.querySelectorAll('[role="tab"]')];
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const other = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  other.focus();
  other.click();
});
document.addEventListener('dragover', (event) => { event.preventDefault(); document.body.dataset.dragging = ''; });
document.addEventListener('dragleave', (event) => { if (!event.relatedTarget) delete document.body.dataset.dragging; });
document.addEventListener('drop', (event) => {
  event.preventDefault();
  delete document.body.dataset.dragging;
  add([...event.dataTransfer.files]);
});
document.addEventListener('paste', (event) => { if (event.clipboardData.files.length) add([...event.clipboardData.files]); });
window.addEventListener('storage', (event) => heard(event.key, event.newValue));
window.addEventListener('hashchange', adopt);
window.addEventListener('online', () => { askServer(); hurry(); });
window.addEventListener('pagehide', leave);
window.addEventListener('pageshow', (event) => { if (event.persisted) location.reload(); });
/* Only what would be lost is asked about: a file on its way, or one whose text no server keeps. */
window.addEventListener('beforeunload', (event) => { if (recorder || items.some(isHere)) event.preventDefault(); });
