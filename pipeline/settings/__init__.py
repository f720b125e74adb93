"""Settings: typed, frozen and strict; only the app and the command line look here, the rest gets plain values."""

from pipeline.settings.loading import DEFAULT_FILE, PREFIX, Loaded, load
from pipeline.settings.sections import Section, Settings

__all__ = ["DEFAULT_FILE", "PREFIX", "Loaded", "Section", "Settings", "load"]
