/** Choices that are remembered in this browser, under one key. */

const KEY = 'whisperlive-hybrid.live.1';

export const DEFAULTS = {
  source: 'microphone',
  device: '',
  language: 'auto',
  model: '',
  task: 'transcribe',
  hotwords: '',
  prompt: '',
  speakers: false,
  autoGainControl: true,
  echoCancellation: false,
  noiseSuppression: false,
  theme: 'system',
  size: 18,
  big: 32,
  view: 'transcript',
  announce: true,
  keys: true,
};

/** @returns {typeof DEFAULTS} */
export function load() {
  try {
    return { ...DEFAULTS, ...JSON.parse(localStorage.getItem(KEY) ?? '{}') };
  } catch {
    return { ...DEFAULTS };
  }
}

/** @param {typeof DEFAULTS} choices */
export function save(choices) {
  try {
    localStorage.setItem(KEY, JSON.stringify(choices));
  } catch {
    // Private windows and full disks: the choice holds until the page closes.
  }
}
