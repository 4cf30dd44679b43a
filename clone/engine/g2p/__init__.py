"""From text to phonemes, one module a language."""
