"""The pages as files: self-contained, allowed by their own policy, the same where they lie twice."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest

from whisperlive_hybrid.pages import site

ROOT = Path(__file__).parents[3]
CLIENT = site.STATIC / "client"


@pytest.mark.parametrize("page", [site.test_form(), site.live(), site.jobs()], ids=["/", "/live", "/jobs"])
def test_a_page_loads_nothing_from_elsewhere(page: site.Page) -> None:
    loaded = re.findall(r"(?:src|href)=\"([^\"]+)\"", page.html)
    assert [url for url in loaded if re.match(r"(?:https?:)?//", url)] == []
    assert "style=" not in page.html, "style attributes are refused by the policy"
    assert not re.search(r"\son[a-z]+=\"", page.html), "inline handlers are refused by the policy"


def test_the_policy_names_exactly_the_inline_script_and_style() -> None:
    page = site.test_form()
    for kind in ("script", "style"):
        parts = re.findall(rf"<{kind}>(.*?)</{kind}>", page.html, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in parts]
        hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
        assert f"{kind}-src 'self' {hashes};" in page.content_security_policy
    assert "unsafe" not in page.content_security_policy
    for other in (site.live(), site.jobs()):
        assert "sha256" not in other.content_security_policy, "these pages have nothing inline"


def test_pages_name_only_files_that_exist() -> None:
    for page in (site.test_form(), site.live(), site.jobs()):
        for path in re.findall(r"(?:src|href)=\"static/([^\"]+)\"", page.html):
            assert (site.STATIC / path).is_file(), path


def test_modules_import_only_files_that_exist() -> None:
    for module in site.STATIC.rglob("*.js"):
        for path in re.findall(r"(?:from|import|new URL\()\s*'(\.[^']+)'", module.read_text()):
            assert (module.parent / path).is_file(), f"{module.name} imports {path}"


def test_the_client_needs_nothing_of_the_pages() -> None:
    for module in CLIENT.glob("*.js"):
        assert all("/" not in path for path in re.findall(r"from '\./([^']+)'", module.read_text()))
        assert "from '../" not in module.read_text()


def test_what_lies_in_two_places_is_the_same() -> None:
    assert (ROOT / "test_form.html").read_bytes() == (ROOT / "whisperlive_hybrid/pages/test_form.html").read_bytes()
    copies = {path.name: path.read_bytes() for path in (ROOT / "clients/browser").glob("*.js")}
    assert copies == {path.name: path.read_bytes() for path in CLIENT.glob("*.js")}


def test_ids_used_by_scripts_exist() -> None:
    pages = (
        (site.live().html, "".join(module.read_text() for module in (site.STATIC / "live").glob("*.js"))),
        (site.jobs().html, "".join(module.read_text() for module in (site.STATIC / "jobs").glob("*.js"))),
        (site.test_form().html, site.test_form().html),
    )
    for html, script in pages:
        ids = set(re.findall(r"\bid=\"([^\"]+)\"", html))
        assert len(ids) == len(re.findall(r"\bid=\"", html)), "an id is given twice"
        assert set(re.findall(r"\$\('([\w-]+)'\)", script)) <= ids
