"""The API's description as one plain page: nothing from outside, and one script, for the address in the examples."""

from __future__ import annotations

import re
from html import escape
from typing import Any

Json = dict[str, Any]

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; --get: #1a6b3c; --post: #1f4fa3; --delete: #9b1c1c; }
@media (prefers-color-scheme: dark) { :root { --get: #7ed9a4; --post: #9dbdff; --delete: #ff9d9d; } }
body { font: 1rem/1.6 system-ui, "Segoe UI", Roboto, "Noto Sans", sans-serif; margin: 0 auto; max-width: 60rem;
  padding: 1.5rem 1rem 4rem; }
h1 { margin-block: 0 .25rem; }
h2 { margin-top: 2.5rem; }
h3 { margin-block: 1rem .25rem; font-size: 1rem; }
details { border: 1px solid var(--line); border-radius: .5rem; margin-block: .5rem; padding: .25rem .75rem; }
summary { cursor: pointer; padding-block: .35rem; min-height: 24px; }
summary:focus-visible, a:focus-visible { outline: 3px solid currentColor; outline-offset: 2px; }
code, pre { font-family: ui-monospace, "Cascadia Mono", Menlo, monospace; font-size: .92em; overflow-wrap: anywhere; }
.get, .post, .delete { font-weight: 700; display: inline-block; min-width: 4.5rem; }
.get { color: var(--get); } .post { color: var(--post); } .delete { color: var(--delete); }
.scroll { margin-block: .75rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .75rem .3rem 0; text-align: start; vertical-align: top; }
pre { background: var(--soft); border-radius: .5rem; padding: .75rem; overflow-x: auto;
  overflow-wrap: normal; }
nav { display: flex; flex-wrap: wrap; gap: .25rem; margin-bottom: 1rem; }
nav a { color: inherit; font-weight: 500; padding: .4rem .75rem; border-radius: .5rem; text-decoration: none; }
nav a:hover, nav [aria-current] { background: var(--soft); }
@media (max-width: 40rem) {
  th, td { padding-inline-end: .5rem; overflow-wrap: anywhere; min-width: 4.5rem; font-size: .92rem; }
}
"""

_ADDRESS = "http://localhost:8080"
_EXAMPLES = {
    "A file, answered at once": f"""curl -F file=@talk.mp3 {_ADDRESS}/transcribe
curl -F file=@talk.mp3 -F format=srt -F language=de {_ADDRESS}/transcribe
curl --data-binary @talk.mp3 -H 'Content-Type: audio/mpeg' '{_ADDRESS}/transcribe?format=text'
curl -F file=@talk.mp3 -F model=whisper-1 -F response_format=verbose_json \\
  {_ADDRESS}/v1/audio/transcriptions""",
    "Clips: upload once, transcribe when you like": f"""curl -F file=@talk.mp3 {_ADDRESS}/api/audio
curl -X POST '{_ADDRESS}/api/transcribe?clip_id=CLIP_ID&language=de'
curl '{_ADDRESS}/api/transcription/CLIP_ID?format=srt'""",
    "Jobs: queued, done also if nobody waits": f"""curl -F file=@talk.mp3 -F diarize=true {_ADDRESS}/api/jobs
curl -N {_ADDRESS}/api/jobs/JOB_ID/events
curl '{_ADDRESS}/api/jobs/JOB_ID/result?format=txt'
curl -X POST {_ADDRESS}/api/jobs/JOB_ID/cancel""",
}
# The browser knows the address that people reach the server by, also behind a proxy that serves it under a path.
_SCRIPT = f"""
const here = location.origin + location.pathname.replace(/\\/docs\\/?$/, '');
for (const each of document.querySelectorAll('.example')) {{
  each.textContent = each.textContent.replaceAll('{_ADDRESS}', here);
}}
"""


def docs_page(document: Json) -> str:
    """HTML of an OpenAPI document as this server writes it."""
    info = document["info"]
    sections = "".join(
        f"<section><h2>{escape(tag)}</h2>{''.join(entries)}</section>" for tag, entries in _by_tag(document).items()
    )
    schemas = "".join(_schema_entry(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="static/icon.svg" type="image/svg+xml">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        '<header><nav aria-label="Pages"><a href="./">Files</a><a href="jobs">Jobs</a><a href="live">Live</a>'
        '<a href="docs" aria-current="page">API</a></nav>'
        f"<h1>{escape(info['title'])} API</h1><p>{escape(info['summary'])} Version "
        f"{escape(info['version'])}. The same for programs: "
        '<a href="openapi.json">openapi.json</a>.</p></header>'
        f"<main>{_examples()}{sections}<section><h2>Bodies</h2>{schemas}</section></main>"
        f"<script>{_SCRIPT}</script></body></html>"
    )


def _examples() -> str:
    return (
        "<section><h2>Examples</h2>"
        + "".join(
            f'<h3>{escape(title)}</h3><pre class="example" tabindex="0">{escape(text)}</pre>'
            for title, text in _EXAMPLES.items()
        )
        + "</section>"
    )


def _prose(text: str) -> str:
    """Text of a description, in which names stand between backticks, as HTML."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _by_tag(document: Json) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path, item in document["paths"].items():
        for method in ("get", "post", "delete"):
            if (operation := item.get(method)) is not None:
                found.setdefault(operation["tags"][0], []).append(_operation_entry(method, path, operation))
    return found


def _operation_entry(method: str, path: str, operation: Json) -> str:
    parts = [f"<p>{_prose(operation['description'])}</p>" if "description" in operation else ""]
    content = operation.get("requestBody", {}).get("content", {})
    in_body = next(iter(content.values()))["schema"].get("properties", {}) if content else {}
    parameters = [p for p in operation.get("parameters", ()) if p["name"] not in in_body]  # most may stand in either
    if parameters:
        rows = "".join(
            f"<tr><td><code>{escape(p['name'])}</code>{' required' if p.get('required') else ''}</td>"
            f"<td>{escape(p['in'])}</td><td>{escape(_kind(p['schema']))}</td>"
            f"<td>{_prose(p.get('description', ''))}</td></tr>"
            for p in parameters
        )
        parts.append(_table(("Parameter", "In", "Type", "Meaning"), rows))
    if content:
        parts.append(f"<p>Body: {', '.join(f'<code>{escape(t)}</code>' for t in content)}</p>")
        schema = next(iter(content.values()))["schema"]
        parts.append(_fields(schema.get("properties", {}), schema.get("required", [])))
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_prose(answer['description'])}"
        f"{''.join(f' <code>{escape(t)}</code>' for t in answer.get('content', {}))}</td></tr>"
        for status, answer in operation["responses"].items()
    )
    parts.append(_table(("Answer", "Meaning"), answers))
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="{method}">{method.upper()}</span> '
        f"<code>{escape(path)}</code> {_prose(operation['summary'])}</summary>{''.join(parts)}</details>"
    )


def _schema_entry(name: str, schema: Json) -> str:
    body = _fields(schema.get("properties", {}), schema.get("required", []))
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>{body}</details>'


def _fields(properties: Json, required: list[str]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code>{' required' if name in required else ''}</td>"
        f"<td>{escape(_kind(schema))}</td><td>{_prose(schema.get('description', ''))}</td></tr>"
        for name, schema in properties.items()
    )
    return _table(("Field", "Type", "Meaning"), rows)


def _table(heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _kind(schema: Json) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    kind = schema.get("type", "")
    text = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if text == "array":
        text = f"list of {_kind(schema.get('items', {}))}"
    if schema.get("format") == "binary":
        text = "file"
    if "const" in schema:
        text = str(schema["const"]).lower()
    if "enum" in schema:
        text = ", ".join(schema["enum"])
    if "maximum" in schema:
        text += f", {schema['minimum']:g} to {schema['maximum']:g}"
    return text
