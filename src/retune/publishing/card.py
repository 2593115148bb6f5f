"""The card of a published model: its verdict, its scores beside those of other models, its use and its origins."""

from collections.abc import Sequence
from dataclasses import replace

from retune.comparison.wording import MARKS, SEEDS
from retune.core.provenance import Origin
from retune.models.card import LICENCE, card_table, origins_table, quoted
from retune.models.directory import read_encoding
from retune.models.encoding_settings import Encoding
from retune.publishing.judged import Judged
from retune.publishing.thresholds import Answered, Shift
from retune.report.tables import matrix, statistics


def card_text(judged: Judged, origins: Sequence[Origin], shift: Shift, *, place: str) -> str:
    """Return the card without its metadata.

    Args:
        judged: The model.
        origins: The data and models it was made from.
        shift: The score thresholds before and after tuning.
        place: Where the model is loaded from: a folder, or a repository on the Hub.
    """
    verdict = judged.verdict
    failed = [f"> **The gate failed: {'; '.join(verdict.failures)}.**"] if verdict.gate == "failed" else []
    sections = [
        *failed,
        f"# {judged.name}",
        f"`{verdict.base}`, tuned for `{verdict.home}` with retune.",
        f"## Verdict\n\n{_verdict(judged)}",
        f"## Scores and forgetting\n\n{_scores(judged)}",
        f"## Use\n\n{_use(judged, place)}",
        f"## Score threshold\n\n{_threshold(judged, shift)}",
        f"## Made from\n\n{origins_table(origins)}\n\n{LICENCE}",
        f"## Parameters\n\n{_parameters(judged)}",
    ]
    return "\n\n".join(sections) + "\n"


def _verdict(judged: Judged) -> str:
    gate = {"passed": "The gate passed.", "failed": "**The gate failed.**", None: "There was no gate."}
    verdict = judged.verdict
    table = "\n".join(statistics(replace(judged.comparison, measurements=judged.measurements)))
    return f"**{verdict.word}**: {verdict.sentence}. {gate[verdict.gate]}\n\n{table}\n\n{SEEDS.partition(':')[0]}."


def _scores(judged: Judged) -> str:
    params, dims = judged.comparison.params, judged.settings["eval"].get("dims")
    first = f" of the first {dims} dimensions" if dims else ""
    words: dict[str, list[str]] = {}
    for word, mark in MARKS.items():
        words.setdefault(mark.sign, []).append(word)
    signs = ", ".join(f"{sign} {' or '.join(named)}" for sign, named in words.items())
    return (
        f"{params.metric}{first} on test queries, with the change from the model's base in brackets; bold marks the "
        f"data set that a model was tuned for. {signs}.\n\n" + "\n".join(matrix(judged.comparison))
    )


def _use(judged: Judged, place: str) -> str:
    encoding, dims = read_encoding(judged.folder), judged.parameters.get("matryoshka_dims")
    lengths = (encoding.query_max_length, encoding.document_max_length)
    lines = [
        f"""```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{place}")
queries, documents = model.encode_query(["a query"]), model.encode_document(["a document"])
scores = model.similarity(queries, documents)
```
""",
        f"- Prompts: {_prompts(encoding)}.",
        f"- Lengths: queries were cut to {lengths[0]} tokens and documents to {lengths[1]}. sentence-transformers cuts "
        f"both to {max(lengths)}.",
    ]
    if encoding.query_suffix:
        lines.append(f"- Suffix: {quoted(encoding.query_suffix)} after a query, which you add yourself.")
    if dims:
        shorter = f"also trained for {', '.join(map(str, dims))} dimensions; `truncate_dim` of `SentenceTransformer`"
        lines.append(f"- Matryoshka: {shorter} chooses a number.")
    else:
        lines.append("- Matryoshka: not trained for shorter vectors.")
    return "\n".join(lines)


def _prompts(encoding: Encoding) -> str:
    if not (encoding.query_prefix or encoding.document_prefix):
        return "none"
    prefixes = f"{quoted(encoding.query_prefix)} before a query, {quoted(encoding.document_prefix)} before a document"
    return f"{prefixes}; `encode_query` and `encode_document` add them"


def _threshold(judged: Judged, shift: Shift) -> str:
    if not shift.queries:
        return f"`{shift.dataset}` has no dev queries, so no threshold was computed."
    if shift.base is None and shift.tuned is None:
        return f"No score reaches a precision of {shift.precision:g} on the {shift.queries:,} dev queries."
    base, name = judged.verdict.base, judged.name
    rows = [_row(base, shift.base), _row(name, shift.tuned)]
    if shift.kept:
        rows.append(_row(f"{name}` with the threshold of `{base}", shift.kept))
    precision = f"{100 * shift.precision:g} %"
    table = card_table(["model", "threshold", "precision", "queries answered"], rows)
    return (
        f"The lowest cosine from which on the best document of a query is relevant in {precision} of the "
        f"cases, on the {shift.queries:,} dev queries of `{shift.dataset}`. Scores shift with tuning, so a threshold "
        f"that was chosen for the base needs a new value.\n\n{table}\n\nThe checkpoint may have been chosen on these "
        "queries; measure the precision on queries of your own."
    )


def _row(model: str, answered: Answered | None) -> list[str]:
    if answered is None:
        return [f"`{model}`", "none reaches it", "", ""]
    precision = "" if answered.precision is None else f"{answered.precision:.3f}"
    return [f"`{model}`", f"{answered.threshold:.4f}", precision, f"{100 * answered.share:.1f} %"]


def _parameters(judged: Judged) -> str:
    seed = judged.parameters.get("seed")
    values = {**judged.parameters, "seed": judged.settings["seed"] if seed is None else seed}
    return card_table(["parameter", "value"], [[f"`{key}`", quoted(value)] for key, value in values.items()])
