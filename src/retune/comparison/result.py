"""All results of a comparison, for the files and the page that show them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from retune.comparison.compare import Comparison, compare
from retune.comparison.details import Details, read_details
from retune.comparison.gate import GateResult, judge_gate
from retune.comparison.histories import read_histories
from retune.comparison.lineage import TunedModel, names_with_history
from retune.comparison.made_models import add_weights, read_exports, read_merge_curves
from retune.comparison.model_verdicts import ModelVerdict, judge_models
from retune.comparison.pairs import PairDifference, compare_pairs
from retune.comparison.paths import InputFolders
from retune.comparison.score_tables import ScoreTable, read_score_table
from retune.comparison.similarity_floors import read_pair_scores
from retune.comparison.synthetic_sets import SyntheticSet, read_synthetic_sets
from retune.params.compare import Compare
from retune.params.eval import Eval
from retune.params.synthesize import Synthesize


@dataclass(frozen=True)
class Conclusion:
    """The results of a comparison.

    Attributes:
        parameters: The sections `compare` and `eval`, and the seed.
        comparison: Every model on every data set.
        gate_results: What the gate found.
        verdicts: The verdict on every tuned model.
        pairs: The models that were compared with each other, on every data set.
        tables: The scores of each query, one table for each data set.
        details: Slices, and the queries that changed most.
        pair_scores: Cosines by model and data set.
        histories: Loss and dev scores of the tuned models.
        merge_curves: What each weight of the merged models does, by model.
        exports: Size and parity of the exports, by model.
        synthetic_sets: All synthetic data sets, evaluated or not.
    """

    parameters: dict[str, Any]
    comparison: Comparison
    gate_results: list[GateResult]
    verdicts: list[ModelVerdict]
    pairs: list[PairDifference]
    tables: list[ScoreTable]
    details: Details
    pair_scores: dict[tuple[str, str], Any]
    histories: list[dict[str, Any]]
    merge_curves: dict[str, dict[str, Any]]
    exports: dict[str, dict[str, Any]]
    synthetic_sets: list[SyntheticSet]


def conclude(
    inputs: InputFolders,
    listed: Eval,
    tuned_models: Mapping[str, TunedModel],
    synthesize: Mapping[str, Synthesize],
    params: Compare,
    seed: int,
) -> Conclusion:
    """Compare the listed models on the listed data sets.

    Args:
        inputs: The folders to read.
        listed: The models and data sets to compare.
        tuned_models: The tuned models among them.
        synthesize: All synthetic data sets.
        params: How to compare.
        seed: The seed of random samples.

    Raises:
        InputError: An input is missing or broken, or models were evaluated on different queries.
    """
    tables = [
        replace(
            read_score_table(inputs.scores, listed.models, dataset, params.metrics_on(dataset)),
            is_synthetic=dataset in synthesize,
        )
        for dataset in listed.datasets
    ]
    curves = read_merge_curves(inputs.merges, tuned_models)
    comparison = compare(tables, tuned_models, params, seed)
    comparison = replace(comparison, measurements=add_weights(comparison.measurements, curves))
    gate_results = judge_gate(comparison.measurements, params.gate)
    return Conclusion(
        {"compare": params.model_dump(mode="json"), "eval": listed.model_dump(mode="json"), "seed": seed},
        comparison,
        gate_results,
        judge_models(comparison, gate_results),
        compare_pairs(tables, params, seed),
        tables,
        read_details(tables, tuned_models, inputs, params, seed),
        read_pair_scores(inputs.pair_scores, listed.models, listed.datasets),
        read_histories(inputs.train, names_with_history(tuned_models)),
        curves,
        read_exports(inputs.exports, tuned_models),
        read_synthetic_sets(inputs.datasets, synthesize),
    )
