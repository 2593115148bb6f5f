"""The entries of dvc.yaml by which `dvc artifacts get` and model registries find the tuned models."""

import logging
from pathlib import Path

from ruamel.yaml import YAML

from retune.core.files import write_text

SECTION = "artifacts:\n"
LOG = logging.getLogger(__name__)


def register(graph: Path, model: Path) -> None:
    """Add a model's directory to the artifacts of a dvc.yaml, unless its name is there; nothing else changes."""
    text = graph.read_text(encoding="utf-8")
    if model.name in (YAML(typ="safe").load(text).get("artifacts") or {}):
        return
    before, section, after = text.partition(SECTION)
    entry = f"  {model.name}: {{path: {model.as_posix()}, type: model}}\n"
    write_text(graph, f"{before}{SECTION}{entry}{after}" if section else f"{text}{SECTION}{entry}")
    LOG.info("%s: %s added to artifacts; commit it", graph, model.name)
