"""The embedded engine: a zero-shot clone on two CPU cores, no key and no download."""

from clone.core.settings import prepare_onnxruntime

prepare_onnxruntime()
