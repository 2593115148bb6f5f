"""The card of a published model: its verdict, its scores beside those of other models, its use and its origins."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from retune.comparison.verdict import FEWEST, Word
from retune.comparison.wording import MARKS, SEEDS, gate_rules
from retune.core.provenance import Origin
from retune.models.card import CARD, LICENCE, card_table, origins_table, quoted
from retune.models.scope import read_scope
from retune.params.compare import Compare
from retune.publishing.judged import Judged
from retune.publishing.thresholds import Answered, Shift
from retune.publishing.usage import usage
from retune.report.tables import matrix, statistics, statistics_note


@dataclass(frozen=True)
class Place:
    """Where the published model is.

    Attributes:
        folder: The published folder.
        repo: The repository on the Hub that the card loads it from; empty if there is none yet.
    """

    folder: Path
    repo: str = ""


def card_text(judged: Judged, origins: Sequence[Origin], shift: Shift, place: Place) -> str:
    """Return the card without its metadata.

    Args:
        judged: The model.
        origins: The data and models it was made from.
        shift: The score thresholds before and after tuning.
        place: Where it is loaded from.
    """
    failed = [
        f"> **The gate failed: {'; '.join(verdict.failures)}.**"
        for verdict in (each.verdict for each in judged.all)
        if verdict.gate == "failed"
    ]
    sections = [
        *failed,
        f"# {judged.name}",
        _made(judged),
        f"## Verdict\n\n{_verdict(judged)}",
        f"## Scores and forgetting\n\n{_scores(judged)}",
        f"## Use\n\n{usage(judged, place.repo, place.folder)}",
        f"## Score threshold\n\n{_threshold(judged, shift)}",
        f"## Made from\n\n{origins_table(origins)}\n\n{LICENCE}",
        f"## Parameters\n\n{_parameters(judged)}",
    ]
    return "\n\n".join(sections) + "\n"


def _made(judged: Judged) -> str:
    """Return the sentences that say what the model is."""
    base, home, values = judged.verdict.base, judged.verdict.home, judged.parameters
    if judged.is_export:
        cut = f", cut to {values['dims']} dimensions" if values["dims"] is not None else ""
        origin = [f"`{base}`: {_made(judged.exported)}"] if judged.exported else []
        return "\n\n".join([f"`{base}` in {values['dtype']} ({values['format']}){cut}.", *origin])
    if judged.merged_weight is not None:
        names = " and ".join(f"`{name}`" for name in dict.fromkeys([values["tuned"], values["tuned_2"]]))
        mean = names if values["tuned"] == values["tuned_2"] else f"the mean of {names}"
        weights = f"`{base}` ({1.0 - judged.merged_weight:g}) and {mean} ({judged.merged_weight:g})"
        return f"The weighted mean of {weights}, tuned from it for `{home}` with retune."
    if read_scope(judged.folder):
        return f"`{base}` for documents, and a model for queries that was tuned from it for `{home}` with retune."
    return f"`{base}`, tuned for `{home}` with retune."


def _verdict(judged: Judged) -> str:
    lines = [_judgement(each) for each in judged.all]
    measurements = [measurement for each in judged.all for measurement in each.measurements]
    table = "\n".join(statistics(replace(judged.comparison, measurements=measurements)))
    note = f"{statistics_note(judged.comparison)} {SEEDS.partition(':')[0]}."  # without the page of the project
    return "\n\n".join([*lines, table, note])


def _judgement(judged: Judged) -> str:
    verdict, params = judged.verdict, judged.comparison.params
    gate = {"passed": "The gate passed.", "failed": "**The gate failed.**", None: "There was no gate."}[verdict.gate]
    rules = f" {gate_rules(params.gate, is_export=judged.is_export)}" if params.gate else ""
    compared = f"`{judged.name}` compared with `{verdict.base}` by {params.metric} on test queries"
    return f"{compared}: **{verdict.word}**, {verdict.sentence}. {gate}{rules}"


def _scores(judged: Judged) -> str:
    comparison, dims = judged.comparison, judged.settings["eval"].get("dims")
    first = f" of the first {dims} dimensions" if dims else ""
    found = {measurement.word for measurement in comparison.measurements}
    words = [
        f"- {mark.sign} {word}: {_meaning(word, comparison.params)}." for word, mark in MARKS.items() if word in found
    ]
    return "\n".join(
        [
            f"{comparison.params.metric}{first} on test queries, with the change from the model's base in brackets; "
            "bold marks the data set that a model was tuned for.",
            "",
            *matrix(comparison),
            "",
            *words,
        ]
    )


def _meaning(word: Word, params: Compare) -> str:
    p = f"corrected p at most {params.significance:g}"
    elsewhere = "a data set that the model was not tuned for"
    return {
        "improved": f"better, {p}",
        "worse": f"worse, {p}",
        "forgot": f"worse on {elsewhere}, {p}, and the interval allows for a loss of {params.margin:g} or more",
        "non-inferior": f"on {elsewhere}, the interval rules out a loss of {params.margin:g} or more",
        "no difference shown": "none of these; with few queries this says little",
        "withheld": f"fewer than {FEWEST} test queries",
    }[word]


def _threshold(judged: Judged, shift: Shift) -> str:
    precision = f"{100 * shift.precision:g} %"
    if not shift.queries:
        return f"`{shift.dataset}` has no dev queries, so no threshold was computed."
    if shift.base is None and shift.tuned is None:
        return f"No score reaches a precision of {precision} on the {shift.queries:,} dev queries of `{shift.dataset}`."
    base, name = judged.verdict.base, judged.name
    rows = [_row(base, shift.base, shift), _row(name, shift.tuned, shift)]
    if shift.kept:
        rows.append(_row(f"{name}` with the threshold of `{base}", shift.kept, shift))
    interval = f"precision ({100 * shift.confidence:g} % interval)"
    table = card_table(["model", "threshold", interval, "queries answered"], rows)
    return (
        f"If only the queries are answered whose best document has at least this cosine, at least {precision} of the "
        f"answers are relevant, on the {shift.queries:,} dev queries of `{shift.dataset}`. Cosines shift with "
        f"{'an export' if judged.is_export else 'tuning'}: a threshold that was chosen for `{base}` needs a new "
        f"value.\n\n{table}\n\n{_doubt(shift)}The checkpoint may have been chosen on these queries; measure the "
        "precision on queries of your own."
    )


def _row(model: str, answered: Answered | None, shift: Shift) -> list[str]:
    if answered is None:
        return [f"`{model}`", "none reaches it", "", ""]
    reached = ""
    if answered.precision is not None:
        low, high = answered.interval(shift.confidence)
        reached = f"{answered.precision:.3f} ({low:.3f} to {high:.3f})"
    share = f"{answered.count:,} of {shift.queries:,} ({100 * answered.count / shift.queries:.1f} %)"
    return [f"`{model}`", f"{answered.threshold:.4f}", reached, share]


def _doubt(shift: Shift) -> str:
    few = shift.fewest_answered
    return f"A threshold that rests on {few} answered queries is uncertain. " if few < FEWEST else ""


def _parameters(judged: Judged) -> str:
    """Return the parameters of the model and of those that it was made from; those that are off are left out."""
    tables = []
    entries = [entry for each in judged.all for entry in ((each.name, each.parameters), *each.merged_from.items())]
    for name, parameters in entries:
        values = dict(parameters)
        if "seed" in values and values["seed"] is None:
            values["seed"] = judged.settings["seed"]
        rows = [[f"`{key}`", quoted(value)] for key, value in values.items() if value not in (None, {})]
        tables += [f"Those of `{name}`; the others are off:", card_table(["parameter", "value"], rows)]
    card = f"[{CARD}]({CARD}) was written with the model, and has more on how it was made."
    return "\n\n".join([*tables, card])
