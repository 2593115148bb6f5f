"""Tuned models are traced to their homes, with the parameters that they ran with."""

from typing import Any

import pytest

from retune.check.checking import check
from retune.comparison.lineage import (
    TunedModel,
    names_with_history,
    trace,
    trace_exports,
    trace_merges,
    trace_systems,
)
from retune.params.fuse import Fuse
from retune.params.rerank import Rerank
from tests.support.parameters import EXPORT, MERGE


@pytest.mark.slow
def test_parameters_are_completed_by_the_defaults(default_params: dict[str, Any]) -> None:
    default_params["finetune"]["minilm_science"] |= {"epochs": 7}
    project = check(default_params)
    tuned = trace(project.finetune, project.mine, project.mix, project.synthesize, evaluated=project.eval.datasets)
    parameters = tuned["minilm_science"].parameters
    assert parameters["epochs"] == 7
    assert parameters["learning_rate"] == default_params["defaults"]["finetune"]["learning_rate"]
    assert parameters["patience"] is None  # absent from the file, so off
    assert (tuned["minilm_sympy_synthetic"].home, tuned["minilm_sympy_synthetic"].mined) == (
        "sympy",
        ("sympy_synthetic",),
    )


def test_home_that_an_entry_names_takes_the_place_of_the_one_of_its_queries(default_params: dict[str, Any]) -> None:
    # the queries of `generated` are about the documents of sympy, and no model is evaluated on `generated`
    default_params["convert"]["generated"] = default_params["convert"]["science"] | {"test": 0.0}
    default_params["mine"]["generated"] = default_params["mine"]["science"] | {"dataset": "generated"}
    default_params["finetune"]["minilm_science"] |= {"data": "generated", "home": "sympy"}
    project = check(default_params)
    tuned = trace(project.finetune, project.mine, project.mix, project.synthesize, evaluated=["science", "sympy"])
    assert (tuned["minilm_science"].home, tuned["minilm_science"].trained_on) == ("sympy", ("generated",))
    assert tuned["minilm_sympy"].home == "sympy"


def test_real_queries_judge_a_model_tuned_on_synthetic_ones_if_they_are_evaluated(
    default_params: dict[str, Any],
) -> None:
    project = check(default_params)

    def home(*evaluated: str) -> str:
        sections = (project.finetune, project.mine, project.mix, project.synthesize)
        return trace(*sections, evaluated=evaluated)["minilm_sympy_synthetic"].home

    assert home("science", "sympy") == "sympy"
    assert home("sympy_synthetic", "sympy") == "sympy"
    assert home("science", "sympy_synthetic") == "sympy_synthetic"
    assert home("science") == "sympy"


def test_merged_model_has_the_home_of_the_model_it_is_made_from(default_params: dict[str, Any]) -> None:
    default_params["merge"] |= {  # in any order: a merge may be made from merges
        "of_merges": MERGE | {"tuned": "between", "tuned_2": "minilm_sympy_synthetic"},
        "between": dict(MERGE),
    }
    project = check(default_params)
    tuned = trace(project.finetune, project.mine, project.mix, project.synthesize, evaluated=project.eval.datasets)
    merges = trace_merges(project.merge, tuned)
    assert list(merges)[-2:] == ["of_merges", "between"]
    one, two = merges["between"], merges["of_merges"]
    assert (one.base, one.home, one.mined, one.merged_from) == ("minilm", "sympy", ("sympy",), ("minilm_sympy",))
    assert one.parameters["margin"] == default_params["defaults"]["merge"]["margin"]
    assert (two.mined, two.trained_on) == (("sympy", "sympy_synthetic"), ("sympy", "sympy_synthetic"))


def test_export_is_judged_where_its_model_is_at_home(default_params: dict[str, Any]) -> None:
    default_params["export"] = {
        "of_tuned": EXPORT | {"dataset": "science"},  # of minilm_sympy
        "of_fetched": EXPORT | {"model": "minilm", "dataset": "science"},
    }
    project = check(default_params)
    tuned = trace(project.finetune, project.mine, project.mix, project.synthesize, evaluated=project.eval.datasets)
    exports = trace_exports(project.export, tuned)
    assert {name: (export.base, export.home) for name, export in exports.items()} == {
        "of_tuned": ("minilm_sympy", "sympy"),
        "of_fetched": ("minilm", "science"),
    }
    assert all(export.is_export and not export.is_trained for export in exports.values())
    assert tuned["minilm_sympy"].is_trained


def fused(first: str, second: str) -> Fuse:
    return Fuse(first=first, second=second, method="rrf", depth=10)


def test_system_is_compared_with_its_first_model_at_the_home_of_a_tuned_one() -> None:
    tuned = {
        "law": TunedModel("base", "contracts", ("contracts",), {}, ("contracts",)),
        "pairs": TunedModel("base", "sympy", ("sympy",), {}, ("sympy",)),
    }
    systems = {  # in any order: a system may hold a system
        "reordered": Rerank(first_stage="both", reranker="pairs", k=20),
        "both": fused("bm25", "law"),
        "cheap": Rerank(first_stage="bm25", reranker="pairs", k=20),
        "untuned": fused("bm25", "base"),
        "of_untuned": fused("untuned", "law"),
        "circle": fused("circle", "law"),
    }
    found = trace_systems(systems, tuned)
    assert {name: (system.base, system.home, system.mined) for name, system in found.items()} == {
        "reordered": ("both", "contracts", ("contracts", "sympy")),
        "both": ("bm25", "contracts", ("contracts",)),
        "cheap": ("bm25", "sympy", ("sympy",)),
        "of_untuned": ("untuned", "contracts", ("contracts",)),
    }
    assert list(found) == ["reordered", "both", "cheap", "of_untuned"]
    assert found["cheap"].parameters == {"first_stage": "bm25", "reranker": "pairs", "k": 20}
    assert names_with_history(found) == ["law", "pairs"]  # for their training curves; neither needs a row of its own
    assert all(system.is_system and not system.is_trained and not system.is_export for system in found.values())
