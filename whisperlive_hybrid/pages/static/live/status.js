/** What the page says about its state: one sentence of facts in, one line for people out. */

/** Sound below this is silence, in dBFS. */
export const SILENT_DB = -60;
/** Seconds of silence before "no sound" is said, and of lag before "behind" is. */
export const SILENT_S = 5;
export const BEHIND_S = 3;

/**
 * @typedef {object} Facts
 * @property {'idle'|'asking'|'running'|'finishing'|'done'|'failed'} phase
 * @property {string} state       of the session
 * @property {string|null} reason why the session is in that state
 * @property {number} silent_s    seconds since the last sound
 * @property {boolean} muted
 * @property {number} behind_s    seconds of audio not yet heard by the server, and its queue
 * @property {number} kept_s      seconds recorded while the connection is lost
 * @property {number} retry_s     seconds to the next try while the server is full
 * @property {boolean} catchingUp
 * @property {boolean} degraded   the server has more to do than it can, and shows words less often
 * @property {boolean} anyText
 * @property {string} source      what the source calls itself
 * @property {number} words
 * @property {boolean} unfinished
 */

/** @typedef {{text: string, tone: 'calm'|'wait'|'live'|'good'|'warn'|'bad'}} Status */

/** @param {Partial<Facts>} facts @returns {Status} */
export function statusOf(facts) {
  const { phase } = facts;
  if (phase === 'idle') return { text: 'Ready', tone: 'calm' };
  if (phase === 'asking') return { text: 'Allow the microphone in the browser prompt', tone: 'wait' };
  if (phase === 'failed') return { text: 'Stopped', tone: 'bad' };
  if (phase === 'done') {
    const words = facts.words === 1 ? '1 word' : `${facts.words ?? 0} words`;
    return facts.unfinished
      ? { text: `Stopped. The last words may be missing. ${words}`, tone: 'warn' }
      : { text: `Done. ${words}`, tone: 'good' };
  }
  if (phase === 'finishing') return { text: 'Finishing the last words', tone: 'wait' };
  return runningStatus(facts);
}

function runningStatus(facts) {
  const kept = Math.floor(facts.kept_s ?? 0);
  switch (facts.state) {
    case 'full':
      return { text: `All places are in use. Trying again in ${Math.ceil(facts.retry_s ?? 0)} s`, tone: 'warn' };
    case 'connecting':
      return facts.reason && facts.reason !== 'forgotten'
        ? { text: `Cannot reach the server. Still recording: ${kept} s kept`, tone: 'warn' }
        : { text: 'Starting', tone: 'wait' };
    case 'reconnecting':
      if (facts.reason === 'go_away') {
        return { text: `The server is being restarted. Still recording: ${kept} s kept`, tone: 'warn' };
      }
      return { text: `Connection lost. Still recording: ${kept} s kept`, tone: 'warn' };
    default:
  }
  if (facts.reason === 'no_answer') return { text: `No answer from the server. Still recording: ${kept} s kept`, tone: 'warn' };
  if (facts.muted || (facts.silent_s ?? 0) >= SILENT_S) {
    return { text: facts.source ? `No sound from ${facts.source}` : 'No sound', tone: 'warn' };
  }
  if (facts.catchingUp) return { text: `Catching up: ${Math.ceil(facts.behind_s ?? 0)} s to go`, tone: 'wait' };
  if ((facts.behind_s ?? 0) > BEHIND_S) return { text: `Captions are ${Math.round(facts.behind_s)} s behind`, tone: 'warn' };
  if (facts.degraded) return { text: 'Listening. The server is busy: words appear later', tone: 'wait' };
  return { text: 'Listening', tone: 'live' };
}

/** What went wrong, what was kept and what to do, for a source that could not be had or a session that failed. */
export function trouble(code, message, { host = '', hasText = false } = {}) {
  const kept = hasText ? 'The captions so far are kept; you can copy or save them.' : 'Nothing was recorded.';
  const known = {
    insecure: [
      'The browser hides the microphone on plain http pages',
      'Use https, or open this page on the server itself as localhost.',
      ['guide', 'files'],
    ],
    denied: [
      'Microphone is blocked for this site',
      'Allow it through the symbol left of the address, then try again.',
      ['retry', 'files'],
    ],
    none: ['No microphone found', 'Connect one, or choose another source.', ['retry', 'files']],
    busy: ['Another program is using the microphone', 'Close it there, then try again.', ['retry']],
    'no-audio': ['That tab or window shares no audio', 'Choose again and tick “Also share audio”.', ['retry']],
    unsupported: [
      'This browser cannot share the audio of a tab',
      'Use Chrome or Edge on a computer, or choose the microphone.',
      ['files'],
    ],
    taken_over: ['This session goes on in another window', 'Go on there, or start anew here.', ['retry']],
    key_missing: ['The server asks for an API key', 'Enter it under More, then start again.', ['retry']],
    key_unknown: ['The server does not know this API key', 'Correct it under More, then start again.', ['retry']],
    origin_refused: ['The server does not take audio from this page', `Open the page of ${host || 'the server'} itself.`, []],
  };
  const [title, next, actions] = known[code] ?? [sentence(message) || 'The session ended', 'Start again.', ['retry']];
  return { title, kept, next, actions, code };
}

/** What the reader must know about the server's model, from `/health`; empty if nothing. @param {object} health */
export function noteOf({ note, status, models }) {
  if (status === 'loading') return 'The server is still loading its model. Captions start as soon as it is ready.';
  if (note) return note;
  if (models?.default !== 'digits') return '';
  return 'This server runs the small bundled model “digits”: it reads spoken digits in English, Spanish, German and French, and nothing else.';
}

const sentence = (text) => (text ? text.charAt(0).toUpperCase() + text.slice(1) : '');
