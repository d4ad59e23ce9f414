/** How files are to be transcribed: chosen under Options, remembered in this browser. The API key is not. */

import { fillLanguages } from '../live/languages.js';
import { $ } from './dom.js';

const KEY = 'whisperlive-hybrid.jobs.1';
const SELECTS = ['language', 'task', 'priority', 'theme'];
const SWITCHES = ['speakers', 'words'];
const DEFAULTS = { language: 'auto', task: 'transcribe', priority: 'normal', theme: 'system', model: '', speakers: false, words: true };

let choices = { ...DEFAULTS };

/** Show what was chosen, and remember what will be. @param {() => void} keyChanged */
export function bindChoices(keyChanged) {
  try {
    choices = { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
  } catch {
    // As it comes, then.
  }
  fillLanguages($('language'), choices.language);
  for (const name of [...SELECTS, 'model']) {
    if ([...$(name).options].some(({ value }) => value === choices[name])) $(name).value = choices[name];
    $(name).addEventListener('change', () => choose(name, $(name).value));
  }
  for (const name of SWITCHES) {
    $(name).checked = choices[name];
    $(name).addEventListener('change', () => choose(name, $(name).checked));
  }
  document.documentElement.dataset.theme = choices.theme;
  $('theme').addEventListener('change', () => {
    document.documentElement.dataset.theme = choices.theme;
  });
  $('key').addEventListener('change', keyChanged);
}

function choose(name, value) {
  choices[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // The choice holds until the page closes.
  }
}

/** @param {string[]} names of models */
export function fillModels(names) {
  $('model').replaceChildren(new Option('Server’s choice', ''), ...names.map((name) => new Option(name, name)));
  if (names.includes(choices.model)) $('model').value = choices.model;
  $('model-field').hidden = names.length < 2;
}

/** Fields of a request for jobs. */
export function jobOptions() {
  const options = { task: $('task').value, word_timestamps: $('words').checked };
  if ($('language').value !== 'auto') options.language = $('language').value;
  if ($('model').value) options.model = $('model').value;
  if ($('speakers').checked) options.diarize = true;
  if ($('priority').value !== 'normal') options.priority = $('priority').value;
  return options;
}
