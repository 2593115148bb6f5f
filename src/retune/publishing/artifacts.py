"""The entries of dvc.yaml by which `dvc artifacts get` and model registries find the tuned models."""

import logging
import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retune.core.files import write_text

SECTION = re.compile(r"^artifacts:(?: *\{\})?(?P<note> *(?:#.*)?)\n(?P<indent> *)", re.MULTILINE)
LOG = logging.getLogger(__name__)


def register(graph: Path, model: Path) -> None:
    """Add a model's directory to the artifacts of a dvc.yaml, unless its name is there; nothing else changes.

    A section that is written in another way than as a list of lines is left alone; the entry is logged instead.
    """
    text = graph.read_text(encoding="utf-8")
    before = _artifacts(text) or {}
    if model.name in before:
        return
    values = {"path": model.as_posix(), "type": "model"}
    entry = f"{model.name}: {{path: {values['path']}, type: {values['type']}}}"
    changed = _with_entry(text, entry)
    if _artifacts(changed) != before | {model.name: values}:
        LOG.warning("%s: artifacts cannot be changed by this command as they are written; add this: %s", graph, entry)
        return
    write_text(graph, changed)
    LOG.info("%s: %s added to artifacts; commit it", graph, model.name)


def _artifacts(text: str) -> dict[str, Any] | None:
    """Return the section of a dvc.yaml; None if it is absent or empty, or if this is no YAML."""
    try:
        found: dict[str, Any] | None = YAML(typ="safe").load(text).get("artifacts")
    except YAMLError:
        return None
    return found


def _with_entry(text: str, entry: str) -> str:
    """Return a dvc.yaml with one more line in its section, which is added if there is none."""
    if found := SECTION.search(text):
        indent = found["indent"] or "  "
        start = f"{text[: found.start()]}artifacts:{found['note']}\n"
        return f"{start}{indent}{entry}\n{found['indent']}{text[found.end() :]}"
    end = "" if text.endswith("\n") else "\n"
    return f"{text}{end}artifacts:\n  {entry}\n"
