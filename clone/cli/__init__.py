"""The command line, thin over Studio."""
