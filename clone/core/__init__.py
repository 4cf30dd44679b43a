"""What everything stands on: errors, settings, jobs with a stop, safe downloads, signed links, folders."""

__version__ = "0.1.0"
