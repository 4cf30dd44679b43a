"""What the numbers in README come from: ``python -m bench FOLDER --json FILE``."""
