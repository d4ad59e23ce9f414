from __future__ import annotations

import subprocess
import sys

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


def test_the_wheel_brings_a_libopus() -> None:
    path = wheel_libopus()
    assert path is not None
    assert "opus" in path


def test_it_works_where_the_system_has_no_libopus() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", WITHOUT_SYSTEM_LIBRARY],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "decoded", done.stderr


def test_the_package_is_imported_once() -> None:
    assert opuslib() is opuslib()
    assert callable(decoder_api().libopus_decode_float)
