/** Where audio comes from: a microphone, or what a tab or the whole system plays. */

/** A source that could not be opened. `code`: insecure, denied, none, busy, no-audio, unsupported. */
export class SourceError extends Error {
  /** @param {string} code @param {string} message @param {unknown} [cause] */
  constructor(code, message, cause) {
    super(message, { cause });
    this.name = 'SourceError';
    this.code = code;
  }
}

const CODES = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'none',
  OverconstrainedError: 'none',
  NotReadableError: 'busy',
  AbortError: 'busy',
};

/**
 * @param {{deviceId?: string, echoCancellation?: boolean, noiseSuppression?: boolean, autoGainControl?: boolean}} [wish]
 * @returns {Promise<MediaStream>}
 */
export async function openMicrophone(wish = {}) {
  requireMediaDevices();
  const { deviceId, echoCancellation = false, noiseSuppression = false, autoGainControl = true } = wish;
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: {
        channelCount: 1,
        echoCancellation,
        noiseSuppression,
        autoGainControl,
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      },
    });
  } catch (error) {
    throw new SourceError(CODES[error.name] ?? 'busy', error.message || error.name, error);
  }
}

/**
 * What a tab or the system plays. The browser asks which; its picture is dropped at once.
 * @returns {Promise<MediaStream>}
 */
export async function openDisplayAudio() {
  requireMediaDevices();
  if (!displayAudioSupported()) throw new SourceError('unsupported', 'This browser cannot share the audio of a tab.');
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({
      video: true,
      audio: { suppressLocalAudioPlayback: false },
      systemAudio: 'include',
      surfaceSwitching: 'include',
    });
  } catch (error) {
    throw new SourceError(CODES[error.name] ?? 'busy', error.message || error.name, error);
  }
  if (!stream.getAudioTracks().length) {
    for (const track of stream.getTracks()) track.stop();
    throw new SourceError('no-audio', 'Nothing was heard of it: tick “Also share audio” in the browser’s dialog.');
  }
  for (const track of stream.getVideoTracks()) {
    track.stop();
    stream.removeTrack(track);
  }
  return stream;
}

/** Whether this browser may be able to share a tab's audio; phones cannot. */
export function displayAudioSupported() {
  return Boolean(globalThis.navigator?.mediaDevices?.getDisplayMedia);
}

/** Microphones by name; names are empty until the microphone was allowed once. */
export async function microphones() {
  if (!globalThis.navigator?.mediaDevices) return [];
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === 'audioinput' && device.deviceId);
}

function requireMediaDevices() {
  if (!globalThis.isSecureContext || !navigator.mediaDevices) {
    throw new SourceError('insecure', 'The browser hides the microphone on pages that are neither https nor localhost.');
  }
}
