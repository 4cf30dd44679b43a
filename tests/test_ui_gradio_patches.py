"""What of Gradio is patched is needed still: the Gradio that is installed does, as it comes, what each patch ends."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import pytest

from clone.ui import gradio_patches

ROOT = Path(__file__).parent.parent

# Each runs on Gradio as it comes, in a process of its own, and says whether the patch is needed.
NEEDED = {
    "write_no_stubs": """
module = pathlib.Path(tempfile.mkdtemp()) / "shown.py"
module.write_text("import gradio as gr\\n\\nclass Shown(gr.Textbox):\\n    pass\\n")
sys.path.insert(0, str(module.parent))
import shown
needed = module.with_suffix(".pyi").exists()
""",
    "refuse_downloads": """
from gradio import processing_utils
from gradio.state_holder import SessionState
asked = []
async def fetch(url, **_):
    asked.append(url)
    return __file__
processing_utils.async_ssrf_protected_download = fetch
with gr.Blocks() as page:
    audio, said = gr.Audio(), gr.Textbox()
    audio.change(lambda given: None, audio, said)
given = {"path": "http://host.example/x.mp3", "meta": {"_type": "gradio.FileData"}}
try:
    asyncio.run(page.preprocess_data(page.fns[0], [given], SessionState(page)))
except Exception:
    pass
needed = bool(asked)
""",
    "bound_uploads": """
from gradio.route_utils import GradioMultiPartParser
from starlette.datastructures import Headers
async def broken():
    yield b'--x\\r\\nContent-Disposition: form-data; name="files"; filename="a.mp3"\\r\\n\\r\\nhalf'
    raise ConnectionError
folder = tempfile.mkdtemp()
headers = Headers({"content-type": "multipart/form-data; boundary=x"})
try:
    asyncio.run(GradioMultiPartParser(headers, broken(), upload_dir=folder, max_file_size=100).parse())
except ConnectionError:
    pass
needed = bool(os.listdir(folder))
""",
    "forget_inputs": """
from gradio.state_holder import SessionState
with gr.Blocks() as page:
    typed, said = gr.Textbox(), gr.Textbox()
    typed.submit(lambda text: text, typed, said)
state = SessionState(page)
asyncio.run(page.preprocess_data(page.fns[0], ["a secret"], state))
needed = "a secret" in str(list(state.components))
""",
    "keep_sessions_small": """
from gradio.state_holder import SessionState
with gr.Blocks() as page:
    gr.Textbox()
needed = bool(SessionState(page).config_values)
""",
    "send_updates_whole": """
from gradio import utils
needed = any(path for _, path, _ in utils.diff(gr.update(visible=True), gr.skip()))
""",
    "serve_with": """
import inspect
from gradio.http_server import start_server
needed = not {"server", "config", "uvicorn_config", "uvicorn_kwargs"} & set(inspect.signature(start_server).parameters)
""",
    "look_less_often": """
with gr.Blocks() as page:
    gr.Textbox()
needed = page._queue.sleep_when_free < 0.05
""",
}


def test_each_patch_has_its_proof() -> None:
    patches = {name for name, value in vars(gradio_patches).items() if inspect.isfunction(value)}
    assert {name for name in patches if vars(gradio_patches)[name].__module__ == gradio_patches.__name__} == {
        *NEEDED,
        "apply",
    }


LOADING = """
import ast, inspect, sys
ast.get_source_segment = lambda *_: sys.exit("a stub is made")
file_of = inspect.getfile
from clone.ui import gradio_patches
assert inspect.getfile is file_of
print(len([each for each in sys.modules if each.startswith("gradio.components.")]))
"""


def test_loading_it_writes_no_stubs() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=False, cwd=ROOT)
    assert int(done.stdout or 0) > 30, done.stderr


ASKING = """
import asyncio, json, os, pathlib, sys, tempfile
import gradio as gr
for name, program in json.loads(sys.argv[1]).items():
    if not os.fork():  # Gradio is imported once
        exec(program)
        os.write(1, f"{name} is {'needed' if needed else 'not so'}\\n".encode())
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], str]:
    """What each of them says, and what went wrong."""
    done = subprocess.run(
        [sys.executable, "-c", ASKING, json.dumps(NEEDED)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=tmp_path_factory.mktemp("asking"),
    )
    return done.stdout.splitlines(), done.stderr


@pytest.mark.parametrize("name", NEEDED)
def test_gradio_needs_it_still(told: tuple[list[str], str], name: str) -> None:
    said, wrong = told
    assert f"{name} is needed" in said, wrong


def test_what_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    from starlette.datastructures import Headers

    async def broken():  # type: ignore[no-untyped-def]
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.mp3"\r\n\r\nhalf'
        raise ConnectionError

    headers = Headers({"content-type": "multipart/form-data; boundary=x"})
    parser = gradio_patches.BoundedParser(headers, broken(), upload_dir=str(tmp_path), max_file_size=100)
    with ThreadPoolExecutor(1) as aside, pytest.raises(ConnectionError):  # a browser's tests leave a loop running here
        aside.submit(asyncio.run, parser.parse()).result()
    assert not list(tmp_path.iterdir())


def test_a_page_of_an_older_version_is_told_so_without_what_was_typed() -> None:
    gradio_patches.forget_inputs()
    with gr.Blocks() as page:
        typed, said = gr.Textbox(), gr.Textbox()
        typed.submit(lambda text, other: text, [typed, said], said)
    with pytest.raises(gr.Error) as caught:
        page.validate_inputs(page.fns[0], ["a secret"])
    assert "a secret" not in str(caught.value)
