"""Folders in passing: private, gone afterwards, swept when their process is."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from clone.core.workspace import Workspace


def test_a_folder_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    with workspace.folder() as folder, workspace.folder() as other:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_bytes(b"x")
        assert folder != other
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((tmp_path / "work").stat().st_mode) == 0o700
    assert list((tmp_path / "work").iterdir()) == []


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "work")
    with pytest.raises(IsADirectoryError), workspace.folder() as folder:
        folder.write_bytes(b"x")
    assert list((tmp_path / "work").iterdir()) == []


def test_what_the_dead_left_is_swept_and_the_living_keep_theirs(tmp_path: Path) -> None:
    killed = (
        "import os, sys; from pathlib import Path; from clone.core.workspace import Workspace\n"
        "with Workspace(Path(sys.argv[1])).folder() as folder:\n"
        "    (folder / 'file').write_bytes(b'x'); os._exit(9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", killed, str(tmp_path / "work")], cwd=Path(__file__).parent.parent, check=False
    )
    assert done.returncode == 9
    assert len(list((tmp_path / "work").iterdir())) == 1
    workspace = Workspace(tmp_path / "work")
    with workspace.folder() as mine:
        workspace.sweep()
        assert list((tmp_path / "work").iterdir()) == [mine]


def test_what_is_lent_goes_with_the_process_and_nobody_elses(tmp_path: Path) -> None:
    workspace, other = Workspace(tmp_path / "work"), Workspace(tmp_path / "work")
    with workspace.folder() as mine, other.folder() as theirs:
        (mine / "file").write_bytes(b"x")
        workspace.close()
        assert list((tmp_path / "work").iterdir()) == [theirs]
