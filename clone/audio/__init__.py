"""Recordings: reading, writing, measuring and cleaning them. Pure functions on mono float32."""
