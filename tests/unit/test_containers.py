"""What can be checked of the container files without building them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from whisperlive_hybrid.config import Settings, env_names

ROOT = Path(__file__).parent.parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text()
VARIABLES = {env_name for name, field in Settings.model_fields.items() for env_name in env_names(name, field)}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return parsed


def stages() -> dict[str, str]:
    """Stage → its text."""
    parts = re.split(r"^FROM \S+ AS (\S+)$", DOCKERFILE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_both_targets_run_the_server_as_nobody_special() -> None:
    assert {"cpu", "cuda"} <= stages().keys()
    for target in ("cpu", "cuda"):
        assert f"FROM runtime AS {target}" in DOCKERFILE
        assert "USER root" not in stages()[target]
    runtime = stages()["runtime"]
    assert "USER whisperlive" in runtime
    assert "HEALTHCHECK" in runtime
    assert 'VOLUME ["/models", "/data"]' in runtime


def test_the_cpu_target_takes_torch_without_cuda_and_only_the_other_takes_cublas() -> None:
    assert "download.pytorch.org/whl/cpu" in stages()["install-cpu"]
    assert "nvidia" not in stages()["install-cpu"]
    assert "nvidia-cublas-cu12" in stages()["install-cuda"]


def test_what_is_copied_exists_and_is_not_ignored() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists()
            assert source in kept
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {project["readme"], *project["license-files"]} <= kept


def test_variables_set_in_the_image_and_in_compose_are_settings(compose: dict[str, Any]) -> None:
    image = set(re.findall(r"([A-Z_]+)=", re.findall(r"^ENV (APP_HOST.+)$", DOCKERFILE, flags=re.MULTILINE)[0]))
    assert image - VARIABLES == {"HF_HOME"}
    for service in _ours(compose).values():
        assert service["environment"].keys() <= VARIABLES


def test_compose_has_a_service_for_each_target_with_both_ports_and_the_models_kept(compose: dict[str, Any]) -> None:
    services = _ours(compose)
    assert {s["build"]["target"] for s in services.values()} == {"cpu", "cuda"}
    for service in services.values():
        assert [port.rsplit(":", 1)[1] for port in service["ports"]] == ["8080", "5050"]
        assert all(port.startswith("${BIND:-127.0.0.1}:") for port in service["ports"])
        assert {v.split(":")[0] for v in service["volumes"]} == compose["volumes"].keys() - {"caddy"}
        assert {"models:/models", "data:/data"} <= set(service["volumes"])
    # Two services with the same ports: only one of them may start by itself.
    assert [name for name, s in services.items() if not s.get("profiles")] == ["server"]
    assert services["gpu"]["deploy"]["resources"]["reservations"]["devices"][0]["driver"] == "nvidia"


def test_the_proxy_has_its_file_and_is_started_only_when_asked_for(compose: dict[str, Any]) -> None:
    proxy = compose["services"]["caddy"]
    assert proxy["profiles"] == ["tls"]
    source = proxy["volumes"][0].partition(":")[0]
    text = (ROOT / source).read_text()
    for upstream, port in (("server:8080", "HTTP_PORT"), ("server:5050", "PORT_WHISPERLIVE")):
        assert upstream in text
        assert compose["services"]["server"]["environment"][port] == upstream.rpartition(":")[2]
    # HTTP/3 is UDP; port 80 is where certificates are asked for, and sends browsers on to https.
    assert set(proxy["ports"]) == {"80:80", "443:443", "443:443/udp"}


def _ours(compose: dict[str, Any]) -> dict[str, Any]:
    """The services that run this project's image."""
    return {name: service for name, service in compose["services"].items() if "build" in service}
