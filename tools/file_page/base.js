/* base.js: what the page holds, and small things that the others use. */
const $ = (id) => document.getElementById(id);
const fromDisk = location.protocol === 'file:';
const items = [];
let active = null; /* The item that is uploaded; there is one at a time. */
let keeps = null; /* Whether the server keeps clips and jobs; null while that is not known. */

const base = () => (fromDisk ? ($('server').value.trim() || 'http://localhost:8080').replace(/\/+$/, '') : new URL('.', location.href).href.replace(/\/$/, ''));
/* The key goes only to the server that it was typed in for. */
const keyHeaders = (server = base()) => ($('key').value && server === base() ? { Authorization: `Bearer ${$('key').value}` } : {});
const pause = (ms) => new Promise((go) => { setTimeout(go, ms); });
const token = () => [...crypto.getRandomValues(new Uint8Array(16))].map((n) => n.toString(16).padStart(2, '0')).join('');

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'className' || name === 'textContent' || name === 'disabled' || name === 'type') element[name] = value;
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const button = (text, onclick, more = {}) => make('button', { type: 'button', textContent: text, onclick, ...more });
/* One line for everybody, or for screen readers only where the page shows it anyway. */
const say = (text, quiet = false) => { $('said').textContent = text; $('said').classList.toggle('quiet', quiet); };
async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Plain http pages have no clipboard: select the text, so that the reader can copy it.
    const area = make('textarea', { readonly: '' });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
  }
  const before = from.textContent;
  from.textContent = 'Copied';
  setTimeout(() => { from.textContent = before; }, 1400);
}
