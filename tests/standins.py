"""Stand-ins for the five networks of Pocket TTS: a few KB each, with its inputs and outputs, and a sound to measure.

What is spoken is a tone: its pitch follows the loudness of the recording, its length the number of tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BASE_HZ, HZ_PER_LEVEL = 100.0, 1000.0
"""The tone of a recording whose mean absolute level is 0, and how much higher it is for a level of 1."""
FRAMES_PER_TOKEN = 2.0
FRAME = 1920
_SPEAKS_TO = 0.3


def _constants(**values: object) -> list[onnx.TensorProto]:
    return [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()]


def _floats(*names_and_shapes: tuple[str, Sequence[int | str]], kind: int = TensorProto.FLOAT) -> list[object]:
    return [helper.make_tensor_value_info(name, kind, shape) for name, shape in names_and_shapes]


def _model(
    nodes: list[tuple[str, str, str]], inputs: list[object], outputs: list[object], **constants: object
) -> bytes:
    """Make a network of nodes, each “inputs, type with attributes, outputs”."""
    made = []
    for sources, kind, targets in nodes:
        name, *attributes = kind.split()
        given = {key: json.loads(value) for key, value in (each.split("=") for each in attributes)}
        made.append(helper.make_node(name, sources.split(), targets.split(), **given))
    graph = helper.make_graph(made, "standin", inputs, outputs, _constants(**constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _encoder() -> bytes:
    nodes = [
        ("audio", "Abs", "loud"),
        ("loud", f"AveragePool kernel_shape=[{FRAME}] strides=[{FRAME}] ceil_mode=1", "level"),
        ("level", "Transpose perm=[0,2,1]", "frames"),
        ("frames width", "Expand", "embedded"),
    ]
    width = np.array([1, 1, 1024])
    return _model(nodes, _floats(("audio", [1, 1, "n"])), _floats(("embedded", [1, "f", 1024])), width=width)


def _conditioner() -> bytes:
    nodes = [
        ("ids", "Cast to=1", "numbers"),
        ("numbers last", "Unsqueeze", "column"),
        ("column tiny", "Mul", "small"),
        ("small width", "Expand", "embedded"),
    ]
    ids = _floats(("ids", [1, "n"]), kind=TensorProto.INT64)
    constants = {"last": np.array([2]), "tiny": np.float32(1e-4), "width": np.array([1, 1, 1024])}
    return _model(nodes, ids, _floats(("embedded", [1, "n", 1024])), **constants)


def _main(ends_at_once: bool) -> bytes:
    """Remember the mean of what is read first; count tokens after that, and frames; end when these are enough."""
    nodes = [
        ("text", "Shape", "text_shape"), ("text_shape one", "Gather axis=0", "n_text"), ("n_text", "Cast to=1", "read"),
        ("frame", "Shape", "frame_shape"), ("frame_shape one", "Gather axis=0", "n_frame"),
        ("n_frame", "Cast to=1", "spoken"),
        ("read unit", "Min", "reads"),
        ("text one", "ReduceSum keepdims=0", "sum"), ("read unit", "Max", "some"), ("sum some", "Div", "mean"),
        ("unit readings", "Sub", "unread"), ("unread none", "Max", "first"), ("first reads", "Mul", "takes"),
        ("mean takes", "Mul", "taken"), ("voice taken", "Add", "voice_out"),
        ("readings reads", "Add", "readings_out"),
        ("unit first", "Sub", "later"), ("later read", "Mul", "more"), ("tokens more", "Add", "tokens_out"),
        ("frames spoken", "Add", "frames_out"),
        ("voice_out", "Identity", "meant"),
        ("tokens_out each", "Mul", "wanted"), ("frames_out wanted", "Sub", "over"), ("over margin", "Sub", "logits"),
        ("logits zero", "Unsqueeze", "end"),
    ]  # fmt: skip
    shapes: list[tuple[str, Sequence[int | str]]] = [
        ("voice", [1, 1024]), ("readings", [1]), ("tokens", [1]), ("frames", [1]),
    ]  # fmt: skip
    inputs = _floats(("frame", [1, "t", 32]), ("text", [1, "s", 1024]), *shapes)
    outputs = _floats(("meant", [1, 1024]), ("end", [1, 1]), *((f"{name}_out", shape) for name, shape in shapes))
    margin = np.array([-100.0 if ends_at_once else 5.0], np.float32)
    unit, none, each = (np.array([value], np.float32) for value in (1.0, 0.0, FRAMES_PER_TOKEN))
    whole = {"one": np.array([1]), "zero": np.array([0])}
    return _model(nodes, inputs, outputs, unit=unit, none=none, each=each, margin=margin, **whole)


def _flow() -> bytes:
    """Go from any noise straight to what is meant, in any number of steps."""
    nodes = [
        ("meant begin end axis", "Slice", "goal"), ("goal x", "Sub", "way"),
        ("unit s", "Sub", "left"), ("left least", "Max", "some"), ("way some", "Div", "speed"),
        ("t none", "Mul", "nothing"), ("speed nothing", "Add", "flow"),
    ]  # fmt: skip
    inputs = _floats(("meant", ["b", 1024]), ("s", ["b", 1]), ("t", ["b", 1]), ("x", ["b", 32]))
    places = {"begin": np.array([0]), "end": np.array([32]), "axis": np.array([1])}
    numbers = {"unit": np.float32(1.0), "least": np.float32(1e-3), "none": np.float32(0.0)}
    return _model(nodes, inputs, _floats(("flow", ["b", 32])), **places, **numbers)


def _decoder() -> bytes:
    """Turn a frame's first value into a tone that goes on where the last frame's ended; two more states only change."""
    nodes = [
        ("frame begin first axis", "Slice", "level"), ("level span", "Mul", "above"), ("above base", "Add", "hz"),
        ("hz turn", "Mul", "step"), ("step samples", "Expand", "steps"), ("steps flat", "Reshape", "row"),
        ("row axis_2", "CumSum", "turned"), ("turned phase", "Add", "angle"),
        ("angle", "Sin", "sine"), ("sine loud", "Mul", "sound"),
        ("angle last end axis", "Slice", "at_end"), ("at_end circle", "Mod fmod=1", "phase_out"),
        ("frame", "Shape", "shape"), ("shape one", "Gather axis=0", "n"), ("count n", "Add", "count_out"),
        ("flag", "Not", "flag_out"),
    ]  # fmt: skip
    inputs = [
        *_floats(("frame", [1, "c", 32]), ("phase", [1, 1, 1])),
        *_floats(("count", [1]), kind=TensorProto.INT64),
        *_floats(("flag", [1]), kind=TensorProto.BOOL),
    ]
    outputs = [
        *_floats(("sound", [1, 1, "n_samples"]), ("phase_out", [1, 1, 1])),
        *_floats(("count_out", [1]), kind=TensorProto.INT64),
        *_floats(("flag_out", [1]), kind=TensorProto.BOOL),
    ]
    whole = {"begin": [0], "first": [1], "axis": [2], "last": [-1], "end": [2**31 - 1], "one": [1], "flat": [1, 1, -1]}
    places = {name: np.array(value) for name, value in whole.items()} | {"samples": np.array([1, 1, FRAME])}
    numbers = {"span": HZ_PER_LEVEL, "base": BASE_HZ, "turn": 2 * np.pi / 24_000, "loud": _SPEAKS_TO}
    floats = {name: np.float32(value) for name, value in numbers.items()}
    circle = {"circle": np.float32(2 * np.pi), "axis_2": np.int64(2)}
    return _model(nodes, inputs, outputs, **places, **floats, **circle)


def make(ends_at_once: bool = False) -> dict[str, bytes]:
    """Return the files by their names; of ``ends_at_once`` the end is told from the first frame on."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    scores = {piece: 0.0 if piece.startswith("<") else -float(i % 7) for i, piece in enumerate(pieces)}
    return {
        "encoder.onnx": _encoder(),
        "text_conditioner.onnx": _conditioner(),
        "lm_main.int8.onnx": _main(ends_at_once),
        "lm_flow.int8.onnx": _flow(),
        "decoder.onnx": _decoder(),
        "vocab.json": json.dumps({piece: i for i, piece in enumerate(pieces)}).encode(),
        "token_scores.json": json.dumps(scores).encode(),
    }


def write(folder: Path, files: dict[str, bytes]) -> dict[str, tuple[int, str]]:
    """Write files to a folder; return the size and the sha256 of each."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()}
