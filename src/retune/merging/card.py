"""The card of a merged model: how to load it, what it was made from, and what each weight does."""

from collections.abc import Sequence
from pathlib import Path

from retune.core.files import write_text
from retune.core.provenance import read_origins, write_origins
from retune.merging.choice import Point
from retune.merging.task import Task
from retune.models.card import CARD, LICENCE, card_table, loading_section, origins_table, quoted
from retune.models.directory import read_encoding


def write_card(folder: Path, name: str, task: Task, points: Sequence[Point], chosen: Point) -> None:
    """Write model-card.md and provenance.json into a merged model's directory.

    Args:
        folder: The directory of the merged model.
        name: Its name.
        task: What was merged.
        points: What each weight does.
        chosen: The point of the weight that was chosen.
    """
    params, base = task.params, task.base.name
    origins = sorted({origin for model in (task.base, *task.tuned) for origin in read_origins(model)})
    tuned = " and ".join(f"`{model.name}`" for model in task.tuned)
    mean = tuned if len(task.tuned) == 1 else f"the mean of {tuned}"
    weights = card_table(["weight", params.dev, *params.guards, ""], [_row(point, chosen) for point in points])
    values = [[f"`{key}`", quoted(value)] for key, value in params.model_dump().items()]
    sections = [
        f"# {name}\n\nThe weighted mean of `{base}` ({1 - chosen.weight:g}) and {mean} ({chosen.weight:g}).",
        loading_section(name, read_encoding(folder), folder),
        f"## Made from\n\n{origins_table(origins)}\n\n{LICENCE}",
        f"## Weights\n\nThe change of {params.metric} on dev queries, by weight of the tuned model:\n\n{weights}",
        f"## Parameters\n\n{card_table(['parameter', 'value'], values)}",
    ]
    write_text(folder / CARD, "\n\n".join(sections) + "\n")
    write_origins(folder, origins)


def _row(point: Point, chosen: Point) -> list[str]:
    notes = ["chosen"] if point is chosen else []
    notes += [] if point.is_allowed else ["below the margin"]
    return [f"{point.weight:g}", *(f"{change.change:+.4f}" for change in (point.home, *point.guards)), ", ".join(notes)]
