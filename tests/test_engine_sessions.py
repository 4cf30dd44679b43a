"""Models run here and tell nobody."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
