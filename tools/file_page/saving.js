/* saving.js: the text in other forms, as files, and as code that gets it. */
const TYPES = { txt: 'text/plain', srt: 'application/x-subrip', vtt: 'text/vtt', json: 'application/json' };
const textOf = (item) => plain(item.segments);
const jsonOf = (item) => JSON.stringify(item.result ?? { segments: item.segments, filename: item.record.name }, null, 2);
function raw(item) {
  return { text: textOf, srt: (i) => srt(cues(i.segments)), vtt: (i) => vtt(cues(i.segments)) }[item.record.format]?.(item) ?? jsonOf(item);
}
function save(item, format) {
  const text = { txt: () => `${textOf(item)}\n`, srt: () => srt(cues(item.segments)), vtt: () => vtt(cues(item.segments)), json: () => `${jsonOf(item)}\n` }[format]();
  const url = URL.createObjectURL(new Blob([text], { type: `${TYPES[format]};charset=utf-8` }));
  make('a', { href: url, download: `${item.record.name.replace(/\.[^.]+$/, '')}.${format}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
}
/* The same request as code. Quotes of a value never end its string. */
function code({ record }) {
  const server = base();
  const shell = (s) => `'${s.replace(/'/g, "'\\''")}'`;
  const quoted = JSON.stringify;
  const fields = { ...record.fields, ...(record.format === 'json' ? {} : { format: record.format }) };
  const file = record.name;
  const key = $('key').value ? " \\\n  -H 'Authorization: Bearer YOUR_KEY'" : '';
  const curl = [`curl ${server}/transcribe${key}`, `-F ${shell(`file=@"${file.replace(/(["\\])/g, '\\$1')}"`)}`, ...Object.entries(fields).map(([n, v]) => `--form-string ${shell(`${n}=${v}`)}`)].join(' \\\n  ');
  const method = fields.task === 'translate' ? 'translations' : 'transcriptions';
  const own = Object.entries(fields).filter(([n]) => !['task', 'model', 'language', 'prompt', 'format', 'word_timestamps', 'temperature'].includes(n));
  const words = fields.word_timestamps && method === 'transcriptions';
  const response = { json: 'verbose_json', text: 'text', srt: 'srt', vtt: 'vtt' }[record.format];
  const python = ['from openai import OpenAI', '', `client = OpenAI(base_url=${quoted(`${server}/v1`)}, api_key="${$('key').value ? 'YOUR_KEY' : 'unused'}")`, `with open(${quoted(file)}, "rb") as file:`, `    answer = client.audio.${method}.create(`, '        file=file,', `        model=${quoted(fields.model ?? 'whisper-1')},`,
    ...(method === 'transcriptions' && fields.language ? [`        language=${quoted(fields.language)},`] : []), ...(fields.prompt ? [`        prompt=${quoted(fields.prompt)},`] : []), ...(fields.temperature ? [`        temperature=${fields.temperature},`] : []),
    `        response_format=${quoted(response)},`, ...(words && record.format === 'json' ? ['        timestamp_granularities=["word", "segment"],'] : []), ...(own.length ? [`        extra_body=${quoted(Object.fromEntries(own))},`] : []), '    )', `print(answer${record.format === 'json' ? '.text' : ''})`].join('\n');
  const js = ['const form = new FormData();', `form.append('file', file, ${quoted(file)});`, ...Object.entries(fields).map(([n, v]) => `form.append(${quoted(n)}, ${quoted(v)});`), `const answer = await fetch(${quoted(`${server}/transcribe`)}, { method: 'POST', body: form });`, record.format === 'json' ? 'const { segments } = await answer.json();' : 'const text = await answer.text();'].join('\n');
  const block = (name, text) => [make('h3', {}, name, make('button', { type: 'button', textContent: 'Copy', onclick: (e) => copy(text, e.target) })), make('pre', { textContent: text })];
  return make('div', { className: 'code' }, ...block('curl', curl), ...block('Python, with the OpenAI client', python), ...block('JavaScript', js));
}
