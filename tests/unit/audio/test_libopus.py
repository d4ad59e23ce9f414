from __future__ import annotations

import subprocess
import sys

import pytest

from whisperlive_hybrid.audio.libopus import decoder_api, opuslib, wheel_libopus

WITHOUT_SYSTEM_LIBRARY = """
import ctypes.util
ctypes.util.find_library = lambda name: None
from whisperlive_hybrid.audio.libopus import opuslib, wheel_libopus
library = opuslib().api.libopus
assert library._name == wheel_libopus(), library._name
assert ctypes.util.find_library("opus") is None, "the lookup was not put back"
decoder = opuslib().Decoder(16000, 1)
assert len(decoder.decode(bytes([0x78, 0xff, 0xfe]), 960)) > 0
print("decoded")
"""


WITH_A_STALE_LINKER_LIST = WITHOUT_SYSTEM_LIBRARY.replace("name: None", "name: 'libopus-gone.so.0'").replace(
    'find_library("opus") is None', 'find_library("opus") == "libopus-gone.so.0"'
)


def test_the_wheel_brings_a_libopus() -> None:
    path = wheel_libopus()
    assert path is not None
    assert "opus" in path


@pytest.mark.parametrize("program", [WITHOUT_SYSTEM_LIBRARY, WITH_A_STALE_LINKER_LIST], ids=["none", "stale"])
def test_it_works_where_the_system_has_no_libopus(program: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "decoded", done.stderr


def test_the_package_is_imported_once() -> None:
    assert opuslib() is opuslib()
    assert callable(decoder_api().libopus_decode_float)
