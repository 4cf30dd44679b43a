"""The whole way of a voice with real engines on other machines: as in one process, to the sample."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from clone.core.errors import Refused
from clone.core.settings import Settings
from clone.engine.backend import Heard, LocalBackend
from clone.engine.remote import RayBackend
from clone.studio.facade import Passage, Studio
from tests.scale.engines import Cluster
from tests.studios import HD, TURBO, last, order, say

TEXT = "Walk slowly home, she said. The ferry left early, while a thin fog was still lying over the water."


def test_a_clone_is_the_same(
    cluster: Cluster,
    backend: LocalBackend,
    examples: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    here = Studio(Settings.at(tmp_path / "other"), backend)
    there = Studio(Settings.from_environment())
    said = []
    for studio in (here, there):
        studio.start(warm=False)
        *_, look = studio.examine(examples[1])
        voice = last(studio.clone(order(examples[1], text=TEXT, model=HD))).voice
        passages = [each for each in studio.speak_long(say(voice, TEXT, HD)) if isinstance(each, Passage)]
        preview = studio.audio(voice.voice_id, "ann", "preview").read_bytes()
        said.append((look, voice, passages, preview))
    (look, voice, passages, preview), (look_2, voice_2, passages_2, preview_2) = said
    assert (look.report, look.segment) == (look_2.report, look_2.segment)
    assert (voice.likeness, voice.settings) == (voice_2.likeness, voice_2.settings)
    assert preview[-4096:] == preview_2[-4096:]
    assert len(passages) == len(passages_2) > 2
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(passages, passages_2, strict=True))
    assert isinstance(there._backend, RayBackend)
    assert there._backend._networks._loaded == {}
    assert "ray" not in sys.modules
    with pytest.raises(Refused) as refused:
        list(there.get_model("pocket"))
    assert refused.value.code == "engine_elsewhere"
    here.close()
    there.close()


def test_a_mix_speaks_as_it_does_here(
    asking: RayBackend, backend: LocalBackend, heard: dict[str, Heard], cluster: Cluster
) -> None:
    from clone.engine.profile import Profile

    learned = {name: backend.learn(heard[name], None) for name in ("ada", "ben")}
    mixed = Profile.mix([(0.3, learned["ada"]), (0.7, learned["ben"])])
    (line,) = backend.script("Walk slowly home.")
    assert asking.script("Walk slowly home.") == [line]
    assert np.array_equal(asking.speak(mixed, line, TURBO), backend.speak(mixed, line, TURBO))
