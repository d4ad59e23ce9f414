/* choices.js: the options of a transcription, and which of them are remembered. */
const CHOICES = 'whisperlive-hybrid.form.1';
const KEPT = ['language', 'task', 'model', 'format', 'prompt', 'hotwords', 'server', 'theme', 'word_timestamps', 'condition_on_previous_text', 'diarize'];
const SENT = ['language', 'task', 'model', 'prompt', 'hotwords', 'beam_size', 'temperature', 'vad_threshold', 'vad_min_silence_ms', 'max_utterance_s'];
const FLAGS = ['word_timestamps', 'condition_on_previous_text', 'diarize'];

function remember() {
  const kept = Object.fromEntries(KEPT.map((id) => [id, $(id).type === 'checkbox' ? $(id).checked : $(id).value]));
  try { localStorage.setItem(CHOICES, JSON.stringify(kept)); } catch { /* the choice holds until the page closes */ }
}
function recall() {
  let kept = {};
  try { kept = JSON.parse(localStorage.getItem(CHOICES) || '{}'); } catch { /* begin anew */ }
  for (const id of KEPT) {
    if (!(id in kept)) continue;
    if ($(id).type === 'checkbox') $(id).checked = kept[id];
    else if ($(id).tagName !== 'SELECT' || [...$(id).options].some((o) => o.value === kept[id])) $(id).value = kept[id];
  }
  document.documentElement.dataset.theme = $('theme').value;
  return kept;
}
function chosen() {
  const fields = {};
  for (const id of SENT) {
    const value = $(id).value.trim();
    if (value && !(id === 'task' && value === 'transcribe') && !(id === 'language' && value === 'auto')) fields[id] = value;
  }
  for (const id of FLAGS) if ($(id).checked) fields[id] = 'true';
  return fields;
}
