"""Timbre: a voice cloned from one recording, over the MiniMax Quick Voice Cloning contract."""

__version__ = "0.1.0"
