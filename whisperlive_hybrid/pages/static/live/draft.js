/** Committed captions kept in this browser, so that a crash or a closed tab does not lose them. */

const KEY = 'whisperlive-hybrid.draft.1';
const EVERY_MS = 1000;
/** Older text is dropped from the copy, not from the page: browsers give about 5 MB. */
const MAX_SEGMENTS = 5000;

let timer = null;

/** Keep what is committed, once a second at most. @param {import('../client/transcript.js').Transcript} transcript */
export function keepDraft(transcript) {
  timer ??= setTimeout(() => {
    timer = null;
    const segments = transcript.segments.filter((segment) => segment.committed || segment.gap).slice(-MAX_SEGMENTS);
    try {
      if (segments.length) localStorage.setItem(KEY, JSON.stringify({ at: Date.now(), words: transcript.words, segments }));
      else localStorage.removeItem(KEY);
    } catch {
      // No room or not allowed: the page itself still has everything.
    }
  }, EVERY_MS);
}

/** They were saved or are not wanted. */
export function forgetDraft() {
  clearTimeout(timer);
  timer = null;
  try {
    localStorage.removeItem(KEY);
  } catch {
    // Then it was never kept.
  }
}

/** What an earlier page left, or null. @returns {{segments: object[], words: number, when: Date} | null} */
export function takeDraft() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null');
    if (!kept?.segments?.length) return null;
    const segments = kept.segments.map((segment) => ({ ...segment, key: `old/${segment.key}`, tentative: '', final: true, stale: false }));
    return { segments, words: kept.words, when: new Date(kept.at) };
  } catch {
    return null;
  }
}

