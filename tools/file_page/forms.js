/* forms.js, pure: a transcript as text, subtitles, cues. */
const two = (n) => String(Math.floor(n)).padStart(2, '0');
const clock = (s) => (s >= 3600 ? `${Math.floor(s / 3600)}:${two((s / 60) % 60)}:${two(s % 60)}` : `${Math.floor(s / 60)}:${two(s % 60)}`);
const size = (n) => (n < 1e6 ? `${Math.max(1, Math.round(n / 1e3))} kB` : `${(n / 1e6).toFixed(1)} MB`);
const speakerOf = (segment) => segment.speaker_label ?? segment.speaker ?? null;
/* The words of a segment with what stands before each of them: some languages have no spaces, some wires cut them off. */
function pieces({ text, words, start, end }) {
  if (!words?.length) return [{ gap: /^\s/.test(text) ? ' ' : '', text: text.trim(), start, end }];
  let at = 0;
  return words.map((word) => {
    const own = word.word.trim();
    const found = text.indexOf(own, at);
    const gap = found < 0 ? ' ' : text.slice(at, found);
    if (found >= 0) at = found + own.length;
    return { gap, text: own, start: word.start, end: word.end };
  });
}
/* One line a segment; where somebody else begins to speak, with the name. */
function plain(segments) {
  let before = null;
  return segments.map((segment) => {
    const name = speakerOf(segment);
    const head = name !== null && name !== before ? `${name}: ` : '';
    before = name;
    return head + segment.text.trim();
  }).join('\n');
}
/* Cues of at most two lines of 42 characters and 6 s, from the times of words where there are some. */
function cues(segments) {
  const list = [];
  let before = null;
  for (const segment of segments) {
    let words = segment.words?.map((w) => ({ text: w.word.trim(), start: w.start, end: w.end })) ?? [];
    if (!words.length) {
      const parts = segment.text.trim().split(/\s+/).filter(Boolean);
      const total = parts.join('').length || 1;
      let sum = 0;
      words = parts.map((text) => {
        const start = segment.start + ((segment.end - segment.start) * sum) / total;
        sum += text.length;
        return { text, start, end: segment.start + ((segment.end - segment.start) * sum) / total };
      });
    }
    const name = speakerOf(segment);
    if (words.length && name !== null && name !== before) words = [{ ...words[0], text: `${name}: ${words[0].text}` }, ...words.slice(1)];
    before = name;
    let group = [];
    for (const word of words) {
      if (group.length && (folded([...group, word]).length > 2 || word.end - group[0].start > 6)) {
        let cut = group.length;
        for (let i = group.length; i > group.length / 2; i -= 1) if (/[.,;:!?…。、]$/.test(group[i - 1].text)) { cut = i; break; }
        list.push(group.slice(0, cut));
        group = group.slice(cut);
      }
      group.push(word);
    }
    if (group.length) list.push(group);
  }
  return list.map((group) => ({ start: group[0].start, end: group.at(-1).end, text: folded(group).join('\n') }));
}
function folded(words) {
  const result = [];
  for (const { text } of words) {
    if (result.length && `${result.at(-1)} ${text}`.length <= 42) result[result.length - 1] += ` ${text}`;
    else result.push(text);
  }
  return result;
}
function stamp(seconds, mark) {
  const ms = Math.round(Math.max(0, seconds) * 1000);
  return `${two(ms / 3600000)}:${two((ms / 60000) % 60)}:${two((ms / 1000) % 60)}${mark}${String(ms % 1000).padStart(3, '0')}`;
}
const srt = (list) => list.map((c, i) => `${i + 1}\n${stamp(c.start, ',')} --> ${stamp(c.end, ',')}\n${c.text}\n`).join('\n');
const vtt = (list) => `WEBVTT\n\n${list.map((c) => `${stamp(c.start, '.')} --> ${stamp(c.end, '.')}\n${c.text.replace(/&/g, '&amp;').replace(/</g, '&lt;')}\n`).join('\n')}`;
