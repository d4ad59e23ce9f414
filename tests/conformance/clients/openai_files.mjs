// OpenAI's own client for Node against a server: node openai_files.mjs BASE_URL CLIP. Prints what was answered, as JSON.
import fs from 'node:fs';
import OpenAI, { AzureOpenAI, toFile } from 'openai';

const [base, clip] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'right', maxRetries: 0 });
const content = fs.readFileSync(clip);
const asked = (more) => ({ file: fs.createReadStream(clip), model: 'whisper-1', language: 'en', ...more });
const transcribe = (more) => client.audio.transcriptions.create(asked(more));
const failure = async (call) => {
  try {
    await call;
    return null;
  } catch (e) {
    const { status, code, param, type, requestID } = e;
    return { name: e.constructor.name, status, code, param, type, hasId: Boolean(requestID) };
  }
};
const told = {};

told.stream_of_file = (await transcribe({})).text;
told.buffer = (await transcribe({ file: await toFile(content, 'b.webm') })).text;
told.nameless = (await transcribe({ file: await toFile(content) })).text;
told.fetched = (await transcribe({ file: new Response(content) })).text;
told.empty_fields = (await transcribe({ prompt: '', language: '' })).text;
told.json = await transcribe({ model: 'gpt-4o-transcribe', include: ['logprobs'] });
told.languages = (await transcribe({ model: 'gpt-transcribe', languages: ['en', 'de'], language: undefined })).languages;
told.keywords = typeof (await transcribe({ model: 'gpt-transcribe', keywords: ['six', 'nine'] })).text;
told.chunking = (await transcribe({ chunking_strategy: { type: 'server_vad', threshold: 0.4 } })).text;
told.text = await transcribe({ response_format: 'text' });
told.srt = await transcribe({ response_format: 'srt' });
told.vtt = await transcribe({ response_format: 'vtt' });
told.verbose = await transcribe({ response_format: 'verbose_json', timestamp_granularities: ['word', 'segment'] });

const events = [];
for await (const event of await transcribe({ stream: true })) events.push(event);
told.events = events;
let first = null;
for await (const event of await transcribe({ stream: true, response_format: 'srt' })) {
  first = event;
  break;
}
told.left_after = first.type;

told.models = (await client.models.list()).data.map((model) => model.id);
told.model = (await client.models.retrieve('whisper-1')).id;
told.slashes = await failure(client.models.retrieve('org/name'));
told.undeleted = await failure(client.models.delete('digits'));
told.bad_option = await failure(transcribe({ temperature: 7 }));
told.no_audio = await failure(transcribe({ file: await toFile(Buffer.from('no audio'.repeat(99)), 'a.wav') }));
told.too_large = await failure(transcribe({ file: await toFile(Buffer.alloc(5_100_000), 'a.wav') }));
told.no_model = await failure(transcribe({ model: 'nope' }));
const stranger = new OpenAI({ baseURL: `${base}/v1`, apiKey: 'wrong', maxRetries: 0 });
told.wrong_key = await failure(stranger.models.list());

const azure = new AzureOpenAI({ endpoint: base, apiKey: 'right', apiVersion: '2025-03-01-preview', maxRetries: 0 });
told.azure = (await azure.audio.transcriptions.create(asked({ model: 'whisper' }))).text;
const bare = new OpenAI({ baseURL: base, apiKey: 'right', maxRetries: 0 });
told.bare = (await bare.audio.transcriptions.create(asked({}))).text;
told.translation = (await client.audio.translations.create({ file: fs.createReadStream(clip), model: 'whisper-1' })).text;

console.log(JSON.stringify(told));
