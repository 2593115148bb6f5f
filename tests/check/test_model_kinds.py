"""Systems of two models in params.yaml, and models of the wrong kind for their place."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from retune.check.checking import check
from retune.check.user_files import check_files
from retune.core.errors import InputError
from tests.check.test_checking import PREDICT, put
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.parameters import EXPORT

Params = dict[str, Any]
RERANK = {"first_stage": "minilm_sympy_bm25", "reranker": "pairs", "k": 50}
FUSE = "fuse.minilm_sympy_bm25"


@pytest.fixture
def params(default_params: Params) -> Params:
    """The default with a reranked fusion, an export, and two more fetched models."""
    default_params["fetch"] |= {name: copy.deepcopy(default_params["fetch"]["minilm"]) for name in ("pairs", "other")}
    default_params["rerank"]["reordered"] = dict(RERANK)
    default_params["eval"]["models"] += ["reordered"]
    default_params["export"]["half"] = copy.deepcopy(EXPORT)
    return default_params


def lines(params: Params) -> list[str]:
    with pytest.raises(InputError) as caught:
        check(params)
    return str(caught.value).splitlines()


def test_rerank_of_a_fusion_is_sound(params: Params) -> None:
    assert [*check(params).systems] == ["reordered", "minilm_sympy_bm25"]


def listed(*models: str) -> Callable[[Params], None]:
    return lambda params: params["eval"]["models"].extend(models)


def rename(section: str, old: str, new: str) -> Callable[[Params], None]:
    return lambda params: params[section].update({new: copy.deepcopy(params[section][old])})


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            put("rerank.reordered.reranker", "minilm_sympy_bm25"),
            "rerank.reordered: reranker: expected another model than first_stage, got 'minilm_sympy_bm25' for both",
        ),
        (put("rerank.reordered.k", 0), "rerank.reordered.k: expected greater than 0, got 0"),
        (
            put(f"{FUSE}.first", "bm25"),
            f"{FUSE}: second: expected another model than first, got 'bm25' for both",
        ),
        (put(f"{FUSE}.weights", [0.0, 0.0]), f"{FUSE}: weights: expected at least one above 0, got [0.0, 0.0]"),
        (put(f"{FUSE}.weights", [1.0, -0.5]), f"{FUSE}.weights.1: expected greater than or equal to 0, got -0.5"),
        (put(f"{FUSE}.weights", [1.0]), f"{FUSE}.weights: expected list to have at least 2 items"),
        (put(f"{FUSE}.method", "max"), f"{FUSE}.method: expected 'rrf' or 'weighted', got 'max'"),
        (put(f"{FUSE}.depth", 0), f"{FUSE}.depth: expected greater than 0, got 0"),
        (put(f"{FUSE}.first", "bert"), f"{FUSE}.first: expected one of minilm, bm25, "),
        (put(f"{FUSE}.second", "bert"), f"{FUSE}.second: expected one of minilm, bm25, "),
        (put("rerank.reordered.first_stage", "bert"), "rerank.reordered.first_stage: expected one of minilm, "),
        (put("rerank.reordered.reranker", "bert"), "rerank.reordered.reranker: expected one of minilm, bm25, "),
        (
            put(f"{FUSE}.first", "reordered"),
            "rerank.reordered: expected a chain of models that ends at a fetched one, got a circle",
        ),
        (put(f"{FUSE}.first", "minilm_sympy_bm25"), f"{FUSE}: expected a chain of models that ends at a fetched one"),
        (rename("fuse", "minilm_sympy_bm25", "minilm"), "fuse.minilm: another section has a model of this name; ren"),
        (rename("rerank", "reordered", "half"), "rerank.half: another section has a model of this name; rename one"),
        (rename("fuse", "minilm_sympy_bm25", "reordered"), "fuse.reordered: another section has a model of this name"),
        (
            lambda params: params["eval"]["models"].remove("minilm_sympy"),
            "eval.models: expected 'minilm_sympy', the base of 'minilm_sympy_bm25', got none; add it",
        ),
    ],
)
def test_wrong_system_gives_its_line(change: Callable[[Params], None], line: str, params: Params) -> None:
    change(params)
    found = lines(params)
    assert f"params.yaml: {line}" in "\n".join(found)


@pytest.mark.parametrize(
    "where",
    [
        "finetune.minilm_sympy.base",
        "finetune.minilm_sympy.guide",
        "mine.sympy.model",
        "mine.sympy.scorer",
        "merge.minilm_sympy_synthetic_merged.base",
        "export.half.model",
    ],
)
def test_system_is_refused_where_one_model_is_needed(where: str, params: Params) -> None:
    put(where, "reordered")(params)
    line = f"params.yaml: {where}: expected one model, got 'reordered', a system of two; name one of them"
    assert line in lines(params)


def test_system_is_no_tuned_model_to_merge(params: Params) -> None:
    put("merge.minilm_sympy_synthetic_merged.tuned", "reordered")(params)
    (line,) = lines(params)
    assert line.startswith("params.yaml: merge.minilm_sympy_synthetic_merged.tuned: expected one of minilm_science, ")


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("bm25", "which is BM25"),
        ("minilm_sympy", "an embedding model (finetune.minilm_sympy.method: full)"),
        ("minilm_sympy_synthetic_merged", "an embedding model (merge.minilm_sympy_synthetic_merged)"),
        ("half", "an embedding model (export.half)"),
        ("fusion", "a system of two"),
    ],
)
def test_reranker_that_is_no_cross_encoder_is_named(model: str, kind: str, params: Params) -> None:
    params["fuse"]["fusion"] = {"first": "other", "second": "bm25", "method": "rrf", "depth": 10}
    put("rerank.reordered.reranker", model)(params)
    line = f"rerank.reordered.reranker: expected a cross-encoder, got {model!r}, {kind}; name another"
    assert f"params.yaml: {line}" in lines(params)


AS_RERANKER = "'pairs', the reranker of rerank.reordered and so a cross-encoder; "


@pytest.mark.parametrize(
    "where",
    [
        "synthesize.sympy_synthetic.model",
        "mine.sympy.model",
        "export.half.model",
        "merge.minilm_sympy_synthetic_merged.base",
        f"{FUSE}.first",
        f"{FUSE}.second",
        "rerank.second.first_stage",
    ],
)
def test_cross_encoder_is_refused_where_a_model_must_rank(where: str, params: Params) -> None:
    params["rerank"]["second"] = RERANK | {"reranker": "other"}
    put(where, "pairs")(params)
    line = f"params.yaml: {where}: expected a model that ranks a corpus, got {AS_RERANKER}name another"
    if not where.startswith(("fuse", "rerank")):
        got = f"got 'pairs', which {where} needs as an embedding model; name another in one of them"
        line = f"params.yaml: rerank.reordered.reranker: expected a cross-encoder, {got}"
    assert line in lines(params)


def test_cross_encoder_alone_is_not_evaluated(params: Params) -> None:
    listed("pairs")(params)
    assert lines(params) == [
        f"params.yaml: eval.models: expected models that rank a corpus, got {AS_RERANKER}name it as the reranker of an "
        "entry in rerank, and list that entry"
    ]


def test_files_of_a_local_model_tell_its_kind(
    tiny_transformer: Path, params: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("given")
    save_tiny_cross_encoder(tiny_transformer, tmp_path / "scorer")
    shutil.copytree(tiny_transformer, tmp_path / "encoder")
    local = {name: value for name, value in params["fetch"]["minilm"].items() if name != "package"} | {"source": "path"}
    params["fetch"] |= {"pairs": local | {"path": "scorer"}, "other": local | {"path": "encoder"}}
    check_files(check(params), tmp_path / "excluded", tmp_path / "slices")

    params["fetch"]["third"] = local | {"path": "scorer"}
    listed("third")(params)
    put("rerank.reordered.reranker", "other")(params)
    with pytest.raises(InputError) as caught:
        check_files(check(params), tmp_path / "excluded", tmp_path / "slices")
    assert str(caught.value).splitlines() == [
        "params.yaml: eval.models: expected models that rank a corpus, got 'third', a cross-encoder; name it as the "
        "reranker of an entry in rerank, and list that entry",
        "params.yaml: rerank.reordered.reranker: expected a cross-encoder, got 'other', an embedding model; name another",
    ]


def test_synthesis_filters_with_a_reranker_but_encodes_with_its_first_stage(params: Params) -> None:
    params["synthesize"]["sympy_synthetic"]["model"] = "reordered"
    where = "params.yaml: synthesize.sympy_synthetic.model"
    assert f"{where}: expected one model, got 'minilm_sympy_bm25', a system of two; name one of them" in lines(params)
    params["rerank"]["reordered"]["first_stage"] = "minilm"
    params["eval"]["models"].remove("reordered")
    assert check(params).synthesize["sympy_synthetic"].model == "reordered"


def test_fusion_is_as_deep_as_what_is_evaluated_and_predicted(params: Params) -> None:
    params["fuse"]["minilm_sympy_bm25"]["depth"] = 99
    params["predict"]["x"] = PREDICT | {"model": "minilm_sympy_bm25", "k": 120}
    where = "params.yaml: fuse.minilm_sympy_bm25.depth: expected at least"
    assert lines(params) == [
        f"{where} the largest of eval.ks (100), got 99; raise it",
        f"{where} predict.x.k (120), got 99; raise it",
    ]


def test_copy_of_a_cross_encoder_may_rerank(params: Params) -> None:
    params["finetune"]["copy"] = params["finetune"]["minilm_sympy"] | {"method": "none", "base": "pairs"}
    params["rerank"]["reordered"]["reranker"] = "copy"
    check(params)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"scorer": "other", "negatives": 7}, "differ in nothing but the scorer with scores, got other negatives in"),
        ({"scorer": "other", "pool": "sympy"}, "differ in nothing but the scorer with scores, got other pool in"),
        ({}, "mix.both.of: expected recipes of two scorers with scores, got 'minilm' in both"),
    ],
)
def test_scores_to_average_are_of_the_same_pairs(changes: Params, line: str, params: Params) -> None:
    params["mine"]["again"] = params["mine"]["science"] | changes
    params["mix"]["both"] = {"first": "science", "second": "again", "first_weight": 1.0, "second_weight": 1.0}
    check(params)
    params["mix"]["both"]["of"] = "scores"
    [found] = lines(params)
    assert line in found
    params["mine"]["again"] = params["mine"]["science"] | {"scorer": "other"}
    check(params)


def test_table_of_vectors_is_a_teacher_and_nothing_else(params: Params) -> None:
    params["fetch"]["table"] = {"source": "vectors", "path": "vectors.parquet", "licence": "MIT"}
    params["finetune"]["taught"] = params["finetune"]["minilm_sympy"] | {"guide": "table", "loss": "embed_distill"}
    check(params)
    params["finetune"]["taught"] |= {"keep_projection": True, "teacher_documents": True}
    params["mine"]["sympy"]["model"] = "table"
    wrong = "expected an embedding model, got 'table', a table of vectors; only the guide of loss embed_distill can be"
    assert [line.rpartition(" one,")[0] for line in lines(params)] == [
        f"params.yaml: mine.sympy.model: {wrong}",
        f"params.yaml: finetune.taught.guide: {wrong}",
    ]


def test_student_beside_its_teacher_may_be_trained_on_synthetic_queries_but_not_tuned_further(params: Params) -> None:
    chosen = {"guide": "other", "loss": "embed_distill", "keep_projection": True, "teacher_documents": True}
    params["finetune"]["student"] = params["finetune"]["minilm_sympy_synthetic"] | chosen
    check(params)
    params["finetune"]["minilm_sympy"]["base"] = "student"
    expected = "expected a model that treats all data sets alike, got 'student', a student beside its teacher; name its"
    assert any(f"finetune.minilm_sympy.base: {expected}" in line for line in lines(params))
