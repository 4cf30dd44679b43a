"""What the numbers in README come from: ``python -m bench FOLDER --json FILE``."""

from clone.core.settings import prepare_onnxruntime

prepare_onnxruntime()
