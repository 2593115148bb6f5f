"""Model directories of endpoints: settings and a probe instead of weights."""

from pathlib import Path

ENDPOINT = "endpoint.json"  # of such a directory


def is_endpoint(folder: Path) -> bool:
    """Return whether a model is asked over HTTP."""
    return (folder / ENDPOINT).is_file()
