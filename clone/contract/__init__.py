"""The contract: every limit, name and default, of cloning and of speech."""
