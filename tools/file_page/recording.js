/* recording.js: files that are made here: a recording, the sample. */
let recorder = null;
async function record() {
  if (recorder) { recorder.stop(); return; }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    const pieces = [];
    const began = Date.now();
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = ({ data }) => pieces.push(data);
    const timer = setInterval(() => { $('record').textContent = `Stop (${clock((Date.now() - began) / 1000)})`; }, 250);
    recorder.onstop = () => {
      clearInterval(timer);
      for (const track of stream.getTracks()) track.stop();
      $('record').textContent = 'Record';
      const type = recorder.mimeType || 'audio/webm';
      recorder = null;
      add([new File(pieces, `recording.${type.includes('mp4') ? 'm4a' : type.includes('ogg') ? 'ogg' : 'webm'}`, { type })]);
    };
    recorder.start();
  } catch (error) {
    say(error.name === 'NotAllowedError' ? 'Microphone is blocked for this site. Allow it through the symbol left of the address, then press Record again.' : 'No microphone could be opened.');
  }
}
async function sample() {
  try {
    const answer = await fetch(`${base()}/static/sample.flac`);
    if (!answer.ok) throw new Error(String(answer.status));
    add([new File([await answer.blob()], 'sample.flac', { type: 'audio/flac' })]);
  } catch {
    say(`The sample could not be fetched from ${base()}. Check that the server runs.`);
  }
}
