/** The choices of the page: shown, remembered, turned into what a session is started with. */

import { displayAudioSupported, microphones } from '../client/whisperlive-hybrid.js';
import { fillLanguages } from './languages.js';
import * as preferences from './preferences.js';
import { noteOf } from './status.js';

const $ = (id) => document.getElementById(id);

const SIZES = { transcript: [14, 48, 2, 'size'], captions: [16, 96, 4, 'big'] };
const SELECTS = ['source', 'device', 'language', 'model', 'task'];
const FIELDS = ['hotwords', 'prompt'];
const SWITCHES = ['speakers', 'autoGainControl', 'echoCancellation', 'noiseSuppression', 'announce', 'keys'];
/** What cannot be changed while a session runs. */
const FIXED = [...SELECTS, ...FIELDS, 'speakers', 'apiKey'];

export const choices = preferences.load();

/** Text one step larger (1) or smaller (-1), each view for itself. @param {1 | -1} direction */
export function resize(direction) {
  const [least, most, step, name] = SIZES[choices.view];
  choose(name, Math.max(least, Math.min(most, choices[name] + direction * step)));
  showSizes();
}

function showSizes() {
  document.documentElement.style.setProperty('--size', `${choices.size}px`);
  document.documentElement.style.setProperty('--big', `${choices.big}px`);
}

/** Change a choice and remember it. */
export function choose(name, value) {
  choices[name] = value;
  preferences.save(choices);
}

/** Show the choices, and remember every change. */
export function bindChoices() {
  document.documentElement.dataset.theme = choices.theme;
  fillLanguages($('language'), choices.language);
  if (!displayAudioSupported()) {
    for (const value of ['display', 'both']) $('source').querySelector(`[value=${value}]`).remove();
  }
  for (const name of [...SELECTS, ...FIELDS]) {
    const element = $(name);
    if (choices[name] && element.tagName === 'INPUT') element.value = choices[name];
    else if ([...(element.options ?? [])].some((option) => option.value === choices[name])) element.value = choices[name];
    element.addEventListener('change', () => choose(name, element.value));
  }
  for (const name of SWITCHES) {
    $(name).checked = choices[name];
    $(name).addEventListener('change', () => choose(name, $(name).checked));
  }
  $('theme').value = choices.theme;
  $('theme').addEventListener('change', () => {
    choose('theme', $('theme').value);
    document.documentElement.dataset.theme = choices.theme;
  });
  $('source').addEventListener('change', fillDevices);
  $('announce').addEventListener('change', showAnnounce);
  $('reset').addEventListener('click', () => {
    preferences.save({ ...preferences.DEFAULTS });
    location.reload();
  });
  showAnnounce();
  showSizes();
  fillDevices();
}

/** Fixed while a session runs. @param {boolean} running */
export function lockChoices(running) {
  for (const id of FIXED) $(id).disabled = running;
}

function showAnnounce() {
  $('log').setAttribute('aria-live', choices.announce ? 'polite' : 'off');
}

/** Microphones have names only after one was allowed. */
export async function fillDevices() {
  const known = await microphones();
  const named = known.filter((device) => device.label);
  $('device-field').hidden = named.length < 2 || choices.source === 'display';
  $('device').replaceChildren(new Option('Default', ''), ...named.map((device) => new Option(device.label, device.deviceId)));
  if (named.some((device) => device.deviceId === choices.device)) $('device').value = choices.device;
}

/** What the server is: its models, and whether it runs the miniature one. */
export async function askServer() {
  try {
    const health = await (await fetch('health')).json();
    const note = noteOf(health);
    $('model-note').querySelector('p').textContent = note;
    $('model-note').hidden = !note;
    if (health.status === 'loading') setTimeout(askServer, 2000);
    const { data } = await (await fetch('v1/models', { headers: keyHeaders() })).json();
    const names = data.filter((model) => !model.alias_of).map(({ id }) => id);
    $('model').replaceChildren(new Option('Server’s choice', ''), ...names.map((id) => new Option(id, id)));
    if (names.includes(choices.model)) $('model').value = choices.model;
    $('model-field').hidden = names.length < 2;
  } catch {
    // Without it the page still works; the session itself will say what is wrong.
  }
}

function keyHeaders() {
  return $('apiKey').value ? { Authorization: `Bearer ${$('apiKey').value}` } : {};
}

/** Fields of the `start` message. */
export function sessionOptions() {
  const options = { language: choices.language, task: choices.task };
  if (choices.speakers) options.diarize = true;
  if ($('model').value) options.model = $('model').value;
  for (const name of FIELDS) if ($(name).value.trim()) options[name] = $(name).value.trim();
  return options;
}

/** What to listen to. */
export function sources() {
  const { autoGainControl, echoCancellation, noiseSuppression } = choices;
  const microphone = { deviceId: $('device').value, autoGainControl, echoCancellation, noiseSuppression };
  const codec = new URLSearchParams(location.search).get('codec') ?? undefined;
  return { microphone: choices.source !== 'display' && microphone, display: choices.source !== 'microphone', codec };
}
