/** The captions as files. */

import { cues, srt, vtt } from '../client/subtitles.js';

const TYPES = { txt: 'text/plain', srt: 'application/x-subrip', vtt: 'text/vtt', json: 'application/json' };

/**
 * @param {import('../client/transcript.js').Transcript} transcript
 * @param {keyof typeof TYPES} format
 */
export function render(transcript, format) {
  if (format === 'txt') return `${transcript.text()}\n`;
  if (format === 'srt') return srt(cues(transcript.lines()));
  if (format === 'vtt') return vtt(cues(transcript.lines()));
  return `${JSON.stringify({ text: transcript.text(), segments: transcript.lines() }, null, 2)}\n`;
}

/** @param {string} text @param {keyof typeof TYPES} format @param {Date} now */
export function download(text, format, now) {
  const url = URL.createObjectURL(new Blob([text], { type: `${TYPES[format]};charset=utf-8` }));
  const two = (n) => String(n).padStart(2, '0');
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  const link = document.createElement('a');
  link.href = url;
  link.download = `captions ${day} ${two(now.getHours())}.${two(now.getMinutes())}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
