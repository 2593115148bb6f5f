"""The card of an export: how to load it, what it was made from, and how near its vectors are to the model's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retune.core.files import write_text
from retune.core.provenance import read_origins, write_origins
from retune.exporting.task import Task
from retune.models.card import CARD, LICENCE, card_table, loading_section, origins_table, quoted
from retune.models.directory import read_encoding


def write_card(folder: Path, name: str, task: Task, measured: Mapping[str, Any]) -> None:
    """Write model-card.md and provenance.json into the directory of an export.

    Args:
        folder: The directory.
        name: The name of the export.
        task: What was exported.
        measured: Its size and its cosines with the model.
    """
    params, origins = task.params, read_origins(task.model)
    values = [[f"`{key}`", quoted(value)] for key, value in params.model_dump().items()]
    sections = [
        f"# {name}\n\n`{task.model.name}` as {params.format} in {params.dtype}, {measured['dims']} dimensions.",
        loading_section(name, read_encoding(folder), folder),
        f"## Made from\n\n{origins_table(origins)}\n\n{LICENCE}",
        f"## Parity\n\n{measured['megabytes']} MB; {parity_in_words(f'`{task.model.name}`', measured)}. "
        "The verdict on test queries is in `reports/compare.md`.",
        f"## Parameters\n\n{card_table(['parameter', 'value'], values)}",
    ]
    write_text(folder / CARD, "\n\n".join(sections) + "\n")
    write_origins(folder, origins)


def parity_in_words(model: str, measured: Mapping[str, Any]) -> str:
    """Return how near an export's vectors are to its model's."""
    cosine, texts = measured["cosine"], sum(measured["texts"].values())
    if cosine is None:
        return f"vectors in a space of their own, which are not compared with those of {model}"
    found = f"at least {cosine['least']:.5f}, median {cosine['median']:.5f}"
    return f"cosine with the vectors of {model}: {found}, over {texts:,} texts"
