/** The languages Whisper knows, named in the reader's own language. */

const CODES =
  'en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha ba jw su yue';

/** @param {HTMLSelectElement} select @param {string} chosen */
export function fillLanguages(select, chosen) {
  const names = new Intl.DisplayNames(undefined, { type: 'language', fallback: 'code' });
  // Whisper's code for Javanese is the old one.
  const named = CODES.split(' ').map((code) => [code, names.of(code === 'jw' ? 'jv' : code)]);
  named.sort((a, b) => a[1].localeCompare(b[1]));
  select.replaceChildren(new Option('Automatic', 'auto'), ...named.map(([code, name]) => new Option(name, code)));
  select.value = chosen;
  if (!select.value) select.value = 'auto';
}
