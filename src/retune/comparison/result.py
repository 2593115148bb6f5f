"""All that a comparison finds, for the files and pages that tell it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retune.comparison.compare import Comparison, compare
from retune.comparison.details import Details, look_closer
from retune.comparison.gate import Finding, judge_gate
from retune.comparison.histories import read_curves
from retune.comparison.lineage import Run
from retune.comparison.model_verdicts import RunVerdict, judge_runs
from retune.comparison.paths import Inputs
from retune.comparison.score_tables import ScoreTable, read_score_table
from retune.comparison.similarity_floors import read_pair_scores
from retune.params.compare import Compare
from retune.params.eval import Eval


@dataclass(frozen=True)
class Conclusion:
    """What was found.

    Attributes:
        comparison: Every model on every data set.
        findings: Of the gate.
        runs: Every run, judged.
        tables: Scores per query, a data set each.
        details: Parts of the queries, and those that changed most.
        pair_scores: Cosines by model and data set.
        curves: Loss and dev scores of the runs.
    """

    comparison: Comparison
    findings: list[Finding]
    runs: list[RunVerdict]
    tables: list[ScoreTable]
    details: Details
    pair_scores: dict[tuple[str, str], Any]
    curves: list[dict[str, Any]]


def conclude(inputs: Inputs, listed: Eval, runs: Mapping[str, Run], params: Compare, seed: int) -> Conclusion:
    """Compare the listed cells.

    Raises:
        InputError: What is to be compared is missing, broken, or of different queries.
    """
    tables = [
        read_score_table(inputs.scores, listed.models, dataset, params.metrics_on(dataset))
        for dataset in listed.datasets
    ]
    comparison = compare(tables, runs, params, seed)
    findings = judge_gate(comparison.cells, params.gate)
    return Conclusion(
        comparison,
        findings,
        judge_runs(comparison, findings),
        tables,
        look_closer(tables, runs, inputs, params, seed),
        read_pair_scores(inputs.pair_scores, listed.models, listed.datasets),
        read_curves(inputs.train, runs),
    )
