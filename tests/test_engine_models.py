"""A model comes whole, goes on where it stopped, and is judged before it is used."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clone.core import fetching
from clone.core.errors import CancelledError, TimbreError, WeightsError
from clone.core.jobs import Stop
from clone.engine.models import POCKET, Model
from tests.getting import assert_nothing_half, assert_whole, get, of, part_of_main, refusal
from tests.mirror import CONTENT, MAIN, N_BYTES, NAME, Mirror, mirroring, put, stand_in

ROOT = Path(__file__).parent.parent
N_MAIN = len(CONTENT["main.onnx"])
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


# What there is


def test_the_catalogue_has_what_is_known_of_pocket_tts() -> None:
    assert POCKET.n_bytes == 217_076_917
    assert len(POCKET.files) == 7
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in POCKET.files)
    hub = re.compile(r"https://huggingface\.co/[\w.-]+/[\w.-]+/resolve/[0-9a-f]{40}/([\w.]+)")
    assert [found[1] for file in POCKET.files if (found := hub.fullmatch(file.url))] == [f.name for f in POCKET.files]
    assert "decoder.onnx" in {file.name for file in POCKET.files}
    assert "consent" in POCKET.terms
    assert "non-commercial" in POCKET.terms
    assert POCKET.terms.count("https://") == 3


def test_what_is_not_here_is_not_usable_and_nothing_is_fetched_unasked(mirror: Mirror, tmp_path: Path) -> None:
    models = of(mirror, tmp_path)
    assert not models.is_here(NAME)
    assert not models.is_usable(NAME)
    assert models.verdict(NAME) == ""
    with pytest.raises(WeightsError, match="not here"):
        models.read(NAME, "vocab.json")
    status = models.status(NAME)
    assert (status.title, status.size, status.is_here) == ("Stand-in TTS", "0.49 MB", False)
    assert mirror.asked == []
    assert not (tmp_path / "models").exists()


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    models = of(None, tmp_path)
    for ask in (models.is_here, models.status, models.verdict, lambda name: models.path(name, "x")):
        with pytest.raises(WeightsError, match="no engine named"):
            ask("../../etc")
    for name in ("../main.onnx", "/etc/passwd", "verdict.json", ""):
        with pytest.raises(WeightsError, match="has no file"):
            models.path(NAME, name)


# It comes


def test_a_model_comes_whole_private_and_with_its_progress(mirror: Mirror, tmp_path: Path) -> None:
    models = of(mirror, tmp_path)
    told = get(models).told
    assert_whole(models, tmp_path)
    assert models.is_usable(NAME)
    assert told[0] == (0, N_BYTES)
    assert told[-1] == (N_BYTES, N_BYTES)
    assert told == sorted(told)
    assert "octet-stream" in mirror.asked[0][1]["Accept"]


def test_what_is_here_is_not_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    models = of(mirror, tmp_path)
    get(models)
    n_asked = len(mirror.asked)
    assert get(models).told == [(N_BYTES, N_BYTES)]
    assert len(mirror.asked) == n_asked


def test_a_file_that_was_damaged_is_told_and_fetched_again(mirror: Mirror, tmp_path: Path) -> None:
    models = of(mirror, tmp_path)
    get(models)
    damaged = models.path(NAME, "flow.onnx")
    damaged.write_bytes(bytes(len(CONTENT["flow.onnx"])))
    with pytest.raises(WeightsError, match="damaged"):
        models.read(NAME, "flow.onnx")
    get(models)
    assert_whole(models, tmp_path)
    assert mirror.sent[f"/{NAME}/flow.onnx"] == 2 * len(CONTENT["flow.onnx"])
    assert mirror.sent[MAIN] == N_MAIN


def test_a_mirror_takes_the_place_of_the_makers(mirror: Mirror, tmp_path: Path) -> None:
    models = of(None, tmp_path, source=f"{mirror.url}/")
    get(models)
    assert_whole(models, tmp_path)


def test_a_folder_takes_the_place_of_the_makers(tmp_path: Path) -> None:
    models = of(None, tmp_path, source=str(put(tmp_path / "stick")))
    assert get(models).told[-1] == (N_BYTES, N_BYTES)
    assert_whole(models, tmp_path)


def test_redirects_are_followed_as_the_hub_sends_them(mirror: Mirror, tmp_path: Path) -> None:
    mirror.has["/cdn/main"] = CONTENT["main.onnx"]
    mirror.instead[MAIN] = lambda it: it.answer(302, b"", {"Location": "/cdn/main?token=SECRET"})
    mirror.has["/cdn/main?token=SECRET"] = CONTENT["main.onnx"]
    get(of(mirror, tmp_path))
    assert_whole(of(mirror, tmp_path), tmp_path)


# It goes on


def cut_off(mirror: Mirror, tmp_path: Path, after: int) -> int:
    """Break a download of the first file off; return how many bytes are here."""
    mirror.cut = after
    assert refusal(of(mirror, tmp_path), tmp_path).code == "url_broken"
    mirror.cut = None
    n_here = part_of_main(tmp_path).stat().st_size
    assert 0 < n_here <= after + 10_000
    return n_here


def test_what_is_cut_off_goes_on_where_it_stopped(mirror: Mirror, tmp_path: Path) -> None:
    n_here = cut_off(mirror, tmp_path, 200_000)
    mirror.sent.clear()
    told = get(of(mirror, tmp_path)).told
    assert mirror.sent[MAIN] == N_MAIN - n_here
    assert mirror.asked[1][1]["Range"] == f"bytes={n_here}-"
    assert mirror.asked[1][1]["If-Range"] == '"one"'
    assert told[0] == (n_here, N_BYTES)
    assert_whole(of(mirror, tmp_path), tmp_path)


def test_a_server_that_knows_no_ranges_starts_anew(mirror: Mirror, tmp_path: Path) -> None:
    cut_off(mirror, tmp_path, 200_000)
    mirror.sent.clear()
    mirror.ranges = False
    get(of(mirror, tmp_path))
    assert mirror.sent[MAIN] == N_MAIN
    assert_whole(of(mirror, tmp_path), tmp_path)


def test_another_version_at_the_server_is_not_put_behind_the_beginning_of_one(mirror: Mirror, tmp_path: Path) -> None:
    right = mirror.has[MAIN]
    mirror.has[MAIN] = bytes(N_MAIN)
    cut_off(mirror, tmp_path, 200_000)
    mirror.has[MAIN], mirror.etag = right, '"two"'
    mirror.sent.clear()
    get(of(mirror, tmp_path))
    assert mirror.sent[MAIN] == N_MAIN
    assert_whole(of(mirror, tmp_path), tmp_path)


@pytest.mark.parametrize("etag", ["", 'W/"weak"', '"a b"', "x" * 9000])
def test_without_a_good_etag_the_hash_tells(mirror: Mirror, tmp_path: Path, etag: str) -> None:
    mirror.etag = etag
    right = mirror.has[MAIN]
    mirror.has[MAIN] = bytes(N_MAIN)
    cut_off(mirror, tmp_path, 200_000)
    mirror.has[MAIN] = right
    get(of(mirror, tmp_path))
    assert all("If-Range" not in headers for _, headers in mirror.asked)
    assert_whole(of(mirror, tmp_path), tmp_path)


def test_odd_answers_to_a_range_start_anew(mirror: Mirror, tmp_path: Path) -> None:
    rest = {"Content-Range": f"bytes 5-{N_MAIN - 1}/{N_MAIN}"}
    other = {"Content-Range": f"bytes 200000-999999/{N_MAIN + 1}"}
    zipped = {"Content-Range": f"bytes 210000-{N_MAIN - 1}/{N_MAIN}", "Content-Encoding": "gzip"}
    for number, answer in enumerate([(206, rest), (206, other), (206, {}), (206, zipped), (416, {})]):
        folder = tmp_path / str(number)
        cut_off(mirror, folder, 200_000)
        whole = mirror.has[MAIN]

        def odd(it: Any, status: int = answer[0], headers: dict[str, str] = answer[1], whole: bytes = whole) -> None:
            it.answer(status, b"odd" * 9, headers) if "Range" in it.headers else it.answer(200, whole)

        mirror.instead[MAIN] = odd
        get(of(mirror, folder))
        assert_whole(of(mirror, folder), folder)
        del mirror.instead[MAIN]


def test_a_part_that_is_wrong_too_long_or_of_another_version_does_no_harm(mirror: Mirror, tmp_path: Path) -> None:
    for number, data in enumerate([b"x" * 1000, b"x" * N_MAIN, b"x" * (N_MAIN + 5), b""]):
        folder = tmp_path / str(number)
        part = part_of_main(folder)
        part.parent.mkdir(parents=True, mode=0o700)
        part.write_bytes(data)
        part.chmod(0o600)
        (part.parent / "0123456789ab-main.onnx.part").write_bytes(b"of an earlier version")
        (part.parent / "0123456789ab-main.onnx.part.etag").write_bytes(b"\xff\xfe")
        (part.parent / f"{part.name}.etag").write_bytes(b"\xff\xfe\r\nX: y")
        get(of(mirror, folder))
        assert_whole(of(mirror, folder), folder)


# It does not come


def test_a_wrong_file_is_told_and_nothing_of_it_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.has[MAIN] = bytes(N_MAIN)
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert error.code == "weights_damaged"
    assert "sha256" in error.message
    assert not part_of_main(tmp_path).exists()
    assert mirror.sent[MAIN] == N_MAIN


def test_no_network_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    error = refusal(of(None, tmp_path, source=url), tmp_path)
    assert error.code == "url_unreachable"
    assert error.message == f"Stand-in TTS could not be got: {url}/pocket/main.onnx can't be reached."


def test_a_file_that_is_cut_off_at_the_server_is_told(mirror: Mirror, tmp_path: Path) -> None:
    mirror.has[MAIN] = CONTENT["main.onnx"][:1000]
    for _ in range(2):
        error = refusal(of(mirror, tmp_path), tmp_path)
        assert (error.code, "ends after 1,000 of 400,000 bytes" in error.message) == ("url_broken", True)


@pytest.mark.parametrize(("status", "said"), [(403, "403 Forbidden"), (404, "404 Not Found"), (503, "503")])
def test_a_server_that_refuses_is_told_and_what_is_here_stays(
    mirror: Mirror, tmp_path: Path, status: int, said: str
) -> None:
    n_here = cut_off(mirror, tmp_path, 200_000)
    mirror.instead[MAIN] = lambda it: it.answer(status, b"")
    assert said in refusal(of(mirror, tmp_path), tmp_path).message
    assert part_of_main(tmp_path).stat().st_size == n_here


def test_a_network_that_asks_to_sign_in_is_told_and_what_is_here_stays(mirror: Mirror, tmp_path: Path) -> None:
    n_here = cut_off(mirror, tmp_path, 200_000)
    mirror.instead[MAIN] = lambda it: it.answer(200, b"<!doctype html><html>Sign in</html>")
    error = refusal(of(mirror, tmp_path), tmp_path)
    assert error.message == "Stand-in TTS could not be got: a web page came in place of main.onnx."
    assert part_of_main(tmp_path).stat().st_size == n_here


def test_a_slow_server_that_stalls_is_left(mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "READ_S", 0.3)
    mirror.pause_s = 1.0
    assert refusal(of(mirror, tmp_path), tmp_path).code == "url_timeout"


def test_a_stop_is_obeyed_and_what_has_come_is_gone_on_with(mirror: Mirror, tmp_path: Path) -> None:
    mirror.pause_s = 0.05
    stop = Stop()
    models = of(mirror, tmp_path)

    def tell(done: int, _: int) -> None:
        if done > 50_000:
            stop.ask()

    with pytest.raises(CancelledError):
        models.get(NAME, stop, tell)
    assert_nothing_half(tmp_path)
    n_here = part_of_main(tmp_path).stat().st_size
    assert 0 < n_here < N_MAIN
    mirror.pause_s = 0.0
    time.sleep(0.2)  # the server notices
    mirror.sent.clear()
    get(models)
    assert mirror.sent[MAIN] == N_MAIN - n_here
    assert_whole(models, tmp_path)


def test_a_stop_asked_before_asks_nobody(mirror: Mirror, tmp_path: Path) -> None:
    stop = Stop()
    stop.ask()
    with pytest.raises(CancelledError):
        get(of(mirror, tmp_path), stop)
    assert mirror.asked == []


# The judge


class Judge:
    """Says what it is told to; keeps whom it was asked about."""

    def __init__(self, said: str = "") -> None:
        self.said = said
        self.asked: list[Model] = []

    def __call__(self, model: Model) -> str:
        self.asked.append(model)
        return self.said


def test_a_model_is_judged_once_and_the_verdict_is_kept(mirror: Mirror, tmp_path: Path) -> None:
    judge = Judge("It says 9 % of the words wrong, and the engine here 2 %.")
    models = of(mirror, tmp_path, judge=judge)
    for _ in range(2):
        get(models)
    assert judge.asked == [stand_in(mirror.url)]
    for each in (models, of(mirror, tmp_path), of(mirror, tmp_path, judge=Judge())):
        assert each.verdict(NAME) == judge.said
        assert each.is_here(NAME)
        assert not each.is_usable(NAME)
    assert models.status(NAME).verdict == judge.said


def test_a_good_model_is_used(mirror: Mirror, tmp_path: Path) -> None:
    models = of(mirror, tmp_path, judge=Judge())
    get(models)
    assert models.is_usable(NAME)
    assert models.verdict(NAME) == ""


def test_a_model_that_was_put_there_or_whose_judge_failed_is_not_used(mirror: Mirror, tmp_path: Path) -> None:
    def failing(_: Model) -> str:
        raise TimbreError("The engine is busy.")

    models = of(mirror, tmp_path, judge=failing)
    with pytest.raises(TimbreError, match="busy"):
        get(models)
    assert models.is_here(NAME)
    assert not models.is_usable(NAME)
    assert models.verdict(NAME)
    n_asked = len(mirror.asked)
    again = of(mirror, tmp_path, judge=Judge())
    get(again)
    assert again.is_usable(NAME)
    assert len(mirror.asked) == n_asked


@pytest.mark.parametrize("kept", [b"", b"{}", b"[]", b'{"of": "another", "said": ""}', b"\xff", b"9" * 20_000, b"null"])
def test_a_verdict_on_something_else_does_not_count(mirror: Mirror, tmp_path: Path, kept: bytes) -> None:
    judge = Judge()
    models = of(mirror, tmp_path, judge=judge)
    get(models)
    (tmp_path / "models" / NAME / "verdict.json").write_bytes(kept)
    assert not models.is_usable(NAME)
    get(models)
    assert len(judge.asked) == 2
    assert models.is_usable(NAME)
