/* server.js: what the server is. */
function noteOf({ note: said, status, models }) {
  if (status === 'loading') return 'The server is still loading its model. Files are taken as soon as it is ready.';
  if (said) return said;
  return models?.default === 'digits' ? 'This server runs the small bundled model “digits”: it reads spoken digits in English, Spanish, German and French, and nothing else.' : '';
}
async function askServer() {
  const server = base();
  $('host').textContent = new URL(server).host;
  for (const link of document.querySelectorAll('[data-page]')) if (fromDisk && link.dataset.page) link.href = `${server}/${link.dataset.page}`;
  try {
    const health = await (await fetch(`${server}/health`, { cache: 'no-store' })).json();
    $('note').textContent = noteOf(health);
    $('note').hidden = !$('note').textContent;
    if (health.status === 'loading') setTimeout(askServer, 2000);
    const jobs = await fetch(`${server}/api/jobs?limit=1`, { headers: keyHeaders(), cache: 'no-store' });
    const then = jobs.ok ? 'jobs' : (await problemIn(jobs)).then;
    if (server === base()) keeps = then === 'jobs' ? true : then === 'direct' ? false : null;
    drawList();
    const models = await fetch(`${server}/v1/models`, { headers: keyHeaders() });
    if (models.status === 401) {
      $('note').textContent = $('key').value ? 'This server does not know the API key under More options.' : 'This server needs an API key: enter it under More options.';
      $('note').hidden = false;
    }
    if (!models.ok) return;
    const { data } = await models.json();
    const was = $('model').value || wished;
    $('model').replaceChildren(new Option('Server’s choice', ''), ...data.filter((m) => !m.alias_of).map((m) => new Option(m.id, m.id)));
    if (data.some((m) => m.id === was)) $('model').value = was;
  } catch {
    if (keeps !== null) return; /* a server that was there: the rows say what happens to them */
    $('note').textContent = `No server answers at ${server}. Start one with “make run”${fromDisk ? ', or change the address below' : ''}.`;
    $('note').hidden = false;
  }
}
