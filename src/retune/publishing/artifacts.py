"""The entries of dvc.yaml by which `dvc artifacts get` and model registries find the tuned models."""

import logging
from pathlib import Path

from ruamel.yaml import YAML

from retune.core.files import write_text

SECTION = "artifacts:\n"
LOG = logging.getLogger(__name__)


def register(graph: Path, model: str) -> None:
    """Add a model to the artifacts of a dvc.yaml, unless it is among them; nothing else of the file changes."""
    text = graph.read_text(encoding="utf-8")
    if model in (YAML(typ="safe").load(text).get("artifacts") or {}):
        return
    before, section, after = text.partition(SECTION)
    entry = f"  {model}: {{path: models/{model}, type: model}}\n"
    write_text(graph, f"{before}{SECTION}{entry}{after}" if section else f"{text}{SECTION}{entry}")
    LOG.info("%s: %s added to artifacts; commit it", graph, model)
