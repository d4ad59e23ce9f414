/** The server's API, as this page uses it. Every fault is an ApiError with the server's own words. */

export class ApiError extends Error {
  /**
   * @param {string} code @param {string} message @param {number} status 0 where there was no answer
   * @param {number} retryAfter_s @param {string[]} all what is wrong, where it is more than one thing
   */
  constructor(code, message, status, retryAfter_s = 0, all = []) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfter_s = retryAfter_s;
    this.all = all;
  }
}

const offline = () => new ApiError('offline', 'The server cannot be reached.', 0);

export class Api {
  /** @param {string} base where the server is, with a slash at its end @param {() => string} key the API key, or nothing */
  constructor(base, key) {
    this.base = base;
    this._key = key;
  }

  get headers() {
    return this._key() ? { Authorization: `Bearer ${this._key()}` } : {};
  }

  /** JSON of an answer. @param {string} path @param {{method?: string, json?: object, signal?: AbortSignal}} more */
  async ask(path, { method = 'GET', json, signal } = {}) {
    const answer = await this._fetch(path, {
      method,
      signal,
      headers: { ...this.headers, ...(json ? { 'Content-Type': 'application/json' } : {}) },
      body: json ? JSON.stringify(json) : undefined,
    });
    return answer.status === 204 ? null : answer.json();
  }

  /** What is at `path`, as a file. @param {string} path */
  async file(path) {
    return (await this._fetch(path, { headers: this.headers })).blob();
  }

  /**
   * The events of a job, from segment `from` on, until it ends or the connection does.
   * @param {string} id @param {number} from @param {AbortSignal} signal
   */
  async *events(id, from, signal) {
    const headers = { ...this.headers, ...(from ? { 'Last-Event-ID': String(from) } : {}) };
    const answer = await this._fetch(`api/jobs/${id}/events?format=ndjson`, { headers, signal });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        const lines = (rest + value).split('\n');
        rest = lines.pop();
        for (const line of lines) if (line) yield JSON.parse(line);
      }
    } catch (error) {
      throw error instanceof SyntaxError || error.name === 'AbortError' ? error : offline();
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /**
   * Keep a file. @param {File} file @param {{progress: (share: number) => void, signal: AbortSignal}} more
   * @returns {Promise<string>} the clip's id
   */
  upload(file, { progress, signal }) {
    // fetch tells nothing about how far an upload is.
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const body = new FormData();
      body.append('file', file, file.name);
      request.open('POST', `${this.base}api/audio`);
      for (const [name, value] of Object.entries(this.headers)) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
      request.onload = () => {
        if (request.status === 201) resolve(JSON.parse(request.responseText).clip_id);
        else reject(fault(request.status, request.responseText, request.getResponseHeader('Retry-After')));
      };
      request.onerror = () => reject(offline());
      request.onabort = () => reject(new DOMException('', 'AbortError'));
      signal.addEventListener('abort', () => request.abort());
      request.send(body);
    });
  }

  async _fetch(path, options) {
    let answer;
    try {
      answer = await fetch(this.base + path, options);
    } catch (error) {
      throw error.name === 'AbortError' ? error : offline();
    }
    if (!answer.ok) throw fault(answer.status, await answer.text().catch(() => ''), answer.headers.get('Retry-After'));
    return answer;
  }
}

/** What an answer that is none says: the server's words, or a proxy's status. */
function fault(status, body, retryAfter) {
  let error = {};
  try {
    error = JSON.parse(body).error ?? {};
  } catch {
    // A proxy before the server answers in its own way.
  }
  // A gateway without a server behind it says as much as no answer.
  if (!error.message && [502, 503, 504].includes(status)) return offline();
  const message = error.message ?? (status === 413 ? 'A proxy before the server refuses files of this size.' : `The server answered ${status}.`);
  return new ApiError(error.code ?? `http_${status}`, message, status, Number(retryAfter) || 0, (error.errors ?? []).map((each) => each.message));
}
