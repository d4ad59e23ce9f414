/**
 * Subtitle cues: at most 2 lines of 42 characters (16 where words have no spaces), about 1 to 6 s, broken at
 * punctuation first. Times inside a segment are shared out by the number of characters.
 */

const LINE = 42;
const LINE_UNSPACED = 16;
const MAX_S = 6;
const MIN_S = 1;

/** @typedef {{start: number, end: number, text: string}} Cue */

/**
 * @param {{start: number, end: number, text: string, speaker?: string | null}[]} lines each begins with its speaker
 * @returns {Cue[]}
 */
export function cues(lines) {
  return lines.flatMap(({ start, end, text, speaker }, i) => {
    const words = wordsOf(speaker ? `[${speaker}] ${text}` : text);
    if (!words.length) return [];
    const width = words.some((word) => word.glue) ? LINE_UNSPACED : LINE;
    const until = Math.max(end, Math.min(start + MIN_S, lines[i + 1]?.start ?? Infinity));
    const seconds = until - start;
    const total = words.reduce((sum, word) => sum + word.text.length, 0);
    let spoken = 0;
    return groups(words, width, (MAX_S / Math.max(seconds, MAX_S)) * total).map((group) => {
      const from = start + (seconds * spoken) / total;
      spoken += group.reduce((sum, word) => sum + word.text.length, 0);
      return { start: from, end: start + (seconds * spoken) / total, text: wrap(group, width).join('\n') };
    });
  });
}

/** SubRip. @param {Cue[]} list */
export function srt(list) {
  return list.map((cue, i) => `${i + 1}\n${stamp(cue.start, ',')} --> ${stamp(cue.end, ',')}\n${cue.text}\n`).join('\n');
}

/** WebVTT. @param {Cue[]} list */
export function vtt(list) {
  const blocks = list.map(
    (cue) => `${stamp(cue.start, '.')} --> ${stamp(cue.end, '.')}\n${cue.text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}\n`,
  );
  return `WEBVTT\n\n${blocks.join('\n')}`;
}

/** hh:mm:ss and milliseconds. @param {number} seconds @param {string} mark */
export function stamp(seconds, mark) {
  const ms = Math.round(Math.max(0, seconds) * 1000);
  const two = (n) => String(Math.floor(n)).padStart(2, '0');
  return `${two(ms / 3_600_000)}:${two((ms / 60_000) % 60)}:${two((ms / 1000) % 60)}${mark}${String(ms % 1000).padStart(3, '0')}`;
}

/** Words; in scripts without spaces every character is one, glued to the one before it. */
function wordsOf(text) {
  return text
    .trim()
    .split(/\s+/)
    .filter(Boolean)
    .flatMap((word) => {
      if (!/[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u.test(word)) return [{ text: word, glue: false }];
      return [...word].map((text, i) => ({ text, glue: i > 0 }));
    });
}

/** Words of one cue each: what fits into two lines and `most` characters, ended early after punctuation. */
function groups(words, width, most) {
  const result = [];
  let group = [];
  const size = (list) => list.reduce((sum, word) => sum + word.text.length, 0);
  for (const word of words) {
    const next = [...group, word];
    if (group.length && (wrap(next, width).length > 2 || size(next) > most + 1)) {
      const cut = lastPause(group);
      result.push(group.slice(0, cut));
      group = [...group.slice(cut), word];
    } else {
      group = next;
    }
  }
  if (group.length) result.push(group);
  return result;
}

/** Where to cut a full group: after its last punctuation if that leaves at least half of it, else at its end. */
function lastPause(group) {
  for (let i = group.length; i > group.length / 2; i -= 1) {
    if (/[.,;:!?…。、！？]$/.test(group[i - 1].text)) return i;
  }
  return group.length;
}

/** Lines of at most `width` characters. */
function wrap(words, width) {
  const lines = [];
  for (const { text, glue } of words) {
    const last = lines.at(-1);
    const joined = last === undefined ? text : `${last}${glue ? '' : ' '}${text}`;
    if (last === undefined || joined.length > width) lines.push(text);
    else lines[lines.length - 1] = joined;
  }
  return lines;
}
