"""An engine is got beside the work of everybody, and by the settings at a start, which log what became of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from clone.core.errors import CancelledError, StoppingError, WeightsError
from clone.core.jobs import Stage, Stop
from clone.core.settings import Settings
from clone.engine.models import Judge, Models
from clone.studio.facade import Studio
from clone.studio.getting import models_of
from tests.getting import part_of_main, standing_in
from tests.mirror import CONTENT, N_BYTES, NAME, Mirror, mirroring, put, stand_in

ROOT = Path(__file__).parent.parent
N_MAIN = len(CONTENT["main.onnx"])


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with mirroring() as running:
        yield running


def opened(settings: Settings, mirror: Mirror, judge: Judge | None = None) -> Studio:
    models = Models(settings.home / "models", (stand_in(mirror.url),), judge=judge, allow_private=True)
    return Studio(settings, models=models)


@pytest.fixture
def studio(settings: Settings, mirror: Mirror) -> Iterator[Studio]:
    with closing(opened(settings, mirror)) as made:
        yield made


def test_getting_tells_its_steps_and_ends_with_what_is_here(studio: Studio) -> None:
    before = studio.models()
    *steps, got = studio.get_model(NAME)
    assert [each.is_here for each in (*before, got)] == [False, True]  # type: ignore[union-attr]
    assert studio.models() == [got]
    stages = [step for step in steps if isinstance(step, Stage)]
    assert [stage.total for stage in stages] == [100] * len(stages)
    assert [stage.done for stage in stages] == sorted({stage.done for stage in stages})
    assert stages[0].name == "Getting Stand-in TTS: 0 MB of 0.49 MB"
    assert stages[-1] == Stage("Comparing Stand-in TTS with what it replaces", 100, 100)


def test_what_there_is_not_is_refused_at_once(studio: Studio) -> None:
    with pytest.raises(WeightsError, match="no engine named"):
        studio.get_model("kokoro")


@pytest.mark.parametrize("how", ["close", "stop", "drain"])
def test_getting_ends_when_nobody_wants_it_any_more(
    studio: Studio, mirror: Mirror, settings: Settings, how: str
) -> None:
    mirror.pause_s = 0.05
    stop = Stop()
    steps = studio.get_model(NAME, stop)
    while not ((step := next(steps)) and isinstance(step, Stage) and step.done > 5):
        pass
    if how == "close":
        steps.close()  # type: ignore[attr-defined]
    elif how == "stop":
        stop.ask()
        with pytest.raises(CancelledError):
            list(steps)
    else:
        studio.drain()
        with pytest.raises(StoppingError):
            list(steps)
    time.sleep(0.3)
    n_here = part_of_main(settings.home).stat().st_size
    assert 0 < n_here < N_MAIN
    time.sleep(0.2)
    assert part_of_main(settings.home).stat().st_size == n_here


def test_the_work_of_others_does_not_wait_for_it(studio: Studio, mirror: Mirror) -> None:
    mirror.pause_s = 0.05
    steps = studio.get_model(NAME)
    next(steps)
    assert list(studio._queue.run("ann", lambda tell, stop: "done"))[-1] == "done"
    assert not studio.models()[0].is_here
    steps.close()  # type: ignore[attr-defined]


def test_two_who_ask_are_both_told_and_it_is_got_once(studio: Studio, mirror: Mirror) -> None:
    mirror.pause_s = 0.01
    one, other = studio.get_model(NAME), studio.get_model(NAME)
    next(one)
    next(other)
    assert [*one][-1] == [*other][-1] == studio.models()[0]
    assert sum(mirror.sent.values()) == N_BYTES


def test_the_real_engine_is_looked_for_where_the_settings_say(settings: Settings, tmp_path: Path) -> None:
    set_so = replace(settings, models_source=str(put(tmp_path / "stick")))
    models = models_of(set_so, lambda _: "")
    assert models.path("pocket", "vocab.json") == settings.home / "models" / "pocket" / "vocab.json"
    with pytest.raises(WeightsError, match="TIMBRE_MODELS_DIR"):  # a stand-in's files are not the real one's
        models.get("pocket", Stop(), lambda *_: None)


# at the start

START = """
import json, logging, sys
import app
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
for environment in json.loads(sys.argv[1]):
    settings = app.Settings.from_environment(environment)
    studio = app.Studio(settings)
    app.get_models(studio, settings)
    studio.close()
    print("next")
"""


def test_a_start_gets_what_is_asked_for_and_agreed_to_and_logs_one_line(home: Path, mirror: Mirror) -> None:
    agreed = {"TIMBRE_MODELS": "pocket", "TIMBRE_ACCEPT_TERMS": "pocket"}
    starts = [
        {},
        {"TIMBRE_ACCEPT_TERMS": "pocket"},
        {"TIMBRE_MODELS": "pocket"},
        {**agreed, "TIMBRE_MODELS_DIR": str(home)},
        agreed,
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            standing_in(mirror.url) + START,
            json.dumps([{"TIMBRE_HOME": str(home), **s} for s in starts]),
        ],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "HOME": str(home), "TIMBRE_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    none, terms_alone, name_alone, failed, got, _ = (told.strip() for told in done.stdout.split("next\n"))
    assert none == terms_alone == ""
    assert name_alone == "pocket is not got: its terms are not accepted. Set TIMBRE_ACCEPT_TERMS=pocket to do so."
    assert failed.startswith("pocket is not here. The folder TIMBRE_MODELS_DIR has no pocket/main.onnx")
    assert got == "Stand-in TTS is here."
    assert sum(mirror.sent.values()) == N_BYTES
