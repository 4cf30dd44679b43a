"""Pieces of the served API: asking, answering, and its document."""
