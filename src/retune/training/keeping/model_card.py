"""The card of a tuned model: how to load it, its base and data, its dev scores and its parameters."""

from collections.abc import Sequence
from pathlib import Path

from retune.core.files import write_text
from retune.core.provenance import read_origins, write_origins
from retune.core.records import read_mined
from retune.models.card import CARD, LICENCE, card_table, loading_section, origins_table, quoted
from retune.models.directory import read_encoding
from retune.training.history import HistoryRow
from retune.training.spec import Task


def write_card(folder: Path, task: Task, rows: Sequence[HistoryRow], *, name: str, note: str = "") -> None:
    """Write model-card.md and provenance.json into a model's directory, with the same bytes for the same training.

    Args:
        folder: The directory of the tuned model.
        task: The training.
        rows: The training history.
        name: The name of the tuned model.
        note: A sentence on the dev scores.
    """
    mined = read_mined(task.mined)
    guide = read_origins(task.guide) if task.params.learns_from_guide else []
    origins = sorted({*read_origins(task.base), *mined.origins, *guide})
    num_pairs = int(mined.examples["positive_ids"].str.len().sum())
    counts = f"{len(mined.examples)} queries with {num_pairs} positives, among {len(mined.documents)} documents"
    sections = [
        f"# {name}\n\n{_made(task)}",
        loading_section(name, read_encoding(folder), folder),
        f"## Made from\n\n{origins_table(origins)}\n\nTrained on {counts}. {LICENCE}",
        _scores(task, rows, name, note, [origin.name for origin in origins if origin.kind == "synthetic queries"]),
        f"## Parameters\n\n{_parameters(task)}",
    ]
    write_text(folder / CARD, "\n\n".join(sections) + "\n")
    write_origins(folder, origins)


def _made(task: Task) -> str:
    """Return the sentence that says what the model is."""
    base, data, dataset = (f"`{value}`" for value in (task.base.name, task.params.data, task.dev.name))
    if task.params.method == "nudge":
        return f"{base}, with the document vectors of {dataset} moved by retune towards the queries of {data}."
    if task.params.teacher_documents:
        return (
            f"`{task.guide.name}`, with a model for queries that learned its vectors, {base} tuned on {data} by retune."
        )
    if task.params.method == "query_tower":
        return f"{base}, with a model for the queries of {dataset} that was fine-tuned on {data} by retune."
    if task.params.method == "cross_encoder":
        return f"A cross-encoder: {base}, fine-tuned on {data} by retune to score pairs of a query and a document."
    return f"{base}, fine-tuned on {data} by retune."


def _scores(task: Task, rows: Sequence[HistoryRow], name: str, note: str, synthetic: Sequence[str]) -> str:
    """Return the section with the dev scores, which also says where the test scores are and which are synthetic."""
    scored = [row for row in rows if row.dev is not None]
    kept = _kept(scored, task.params.checkpoint)
    scores = card_table(
        ["epoch", "step", task.params.dev_metric, ""],
        [[f"{row.epoch:.4g}", row.global_step, f"{row.dev:.5f}", "kept" if row is kept else ""] for row in scored],
    )
    queries = "synthetic dev queries" if task.params.dev in synthetic else "dev queries"
    unlabelled = [f"The test queries of `{dataset}` are synthetic test queries." for dataset in synthetic]
    where = f"Those on test queries are in `metrics/eval/{name}/`, and beside the base's in `reports/compare.md`."
    where = "" if task.params.method == "cross_encoder" else where  # it ranks nothing by itself
    remarks = " ".join(filter(None, [note, where, *unlabelled]))
    return f"## Scores\n\nOn the {queries} of `{task.params.dev}`:\n\n{scores}\n\n{remarks}"


def _kept(scored: Sequence[HistoryRow], checkpoint: str | int) -> HistoryRow:
    """Return the history row of the model that was kept."""
    if checkpoint == "best":
        return max(scored, key=lambda row: row.dev or 0.0)  # the first if several are equal
    return scored[-1] if checkpoint == "last" else next(row for row in scored if row.epoch == checkpoint)


def _parameters(task: Task) -> str:
    values = {"seed": task.seed, "compute.token_budget": task.compute.token_budget}
    values |= {name: value for name, value in task.params.model_dump().items() if name != "seed"}
    return card_table(["parameter", "value"], [[f"`{name}`", quoted(value)] for name, value in values.items()])
