"""Every wrong value of params.yaml gives its line; every preset is sound."""

import copy
import inspect
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

import stages.check
from retune.check.checking import check
from retune.check.sections import show
from retune.check.user_files import check_files
from retune.core.errors import InputError
from retune.core.section import read_all
from tests.support.parameters import EXPORT, MERGE
from tests.support.repository import REPOSITORY


def put(key: str, value: object) -> Callable[[dict], None]:
    """Return a change that sets a dotted key."""

    def change(params: dict) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            params = params[parent]
        params[last] = value

    return change


def drop(key: str) -> Callable[[dict], None]:
    """Return a change that removes a dotted key."""

    def change(params: dict) -> None:
        *parents, last = key.split(".")
        for parent in parents:
            params = params[parent]
        del params[last]

    return change


def copy_entry(section: str, old: str, new: str) -> Callable[[dict], None]:
    """Return a change that gives an entry a second name."""
    return lambda params: params[section].update({new: copy.deepcopy(params[section][old])})


def only_science(params: dict) -> None:
    """Evaluate one tuned model, only on the data set it was tuned for."""
    params["eval"] |= {"models": ["minilm", "minilm_science"], "datasets": ["science"]}


EXCLUDED, SLICES = Path("data/excluded"), Path("data/slices")
PREDICT = {
    "model": "bm25",
    "dataset": "sympy_synthetic",
    "queries": "queries.tsv",
    "layout": "queries",
    "prompt": None,
    "k": 25,
}


WRONG = [
    (put("seeds", 1), "seeds: unknown parameter; remove it or fix the spelling"),
    (drop("compare"), "compare: missing; add it"),
    (drop("defaults.mine.range"), "mine.science.range: missing; add it, or add it to defaults.mine"),
    (put("mine.science.negative", 3), "mine.science.negative: unknown parameter"),
    (put("seed", -1), "seed: expected greater than or equal to 0, got -1"),
    (put("seed", 2**32), "seed: expected less than 4294967296"),
    (
        put("finetune.minilm_science.temperature", float("inf")),
        "finetune.minilm_science.temperature: expected a finite number",
    ),
    (put("convert.science.raw", "a; touch b"), "convert.science.raw: expected a path of letters, digits"),
    (put("convert.science.raw", ""), "convert.science.raw: expected a path of letters, digits"),
    (put("convert.science.dev", 0.7), "expected shares that add up to less than 1, got 1.32"),
    (
        put("fetch.minilm.sha256", None),
        "sha256: expected the hash of model.safetensors, as source 'package' pins no version",
    ),
    (
        put("convert.science.use", "evaluation_only"),
        "mine.science.dataset: expected a data set to train on, got 'science' whose use is evaluation_only; choose",
    ),
    (
        put("convert.sympy.use", "evaluation_only"),
        "synthesize.sympy_synthetic.dataset: expected a data set to train on, got 'sympy' whose use is",
    ),
    (put("convert.science.use", "no"), "convert.science.use: expected 'any', 'evaluation_only' or 'training_against"),
    (
        put("convert.science.assign_all_to", "test"),
        "mine.science.dataset: expected a data set with train queries, got 'science' whose assign_all_to is test",
    ),
    (put("convert.science.max_unusable", 1.5), "convert.science.max_unusable: expected less than 1, got 1.5"),
    (put("convert.science.merge_queries", "first"), "convert.science.merge_queries"),
    (drop("convert.science.licence"), "convert.science.licence: missing; add it"),
    (
        put("defaults.convert.leaks.policy", "warn"),
        "defaults.convert.leaks.policy: expected 'fail', 'drop' or 'report'",
    ),
    (
        put("defaults.convert.leaks.near_duplicate", 0.0),
        "defaults.convert.leaks.near_duplicate: expected greater than 0",
    ),
    (
        put("mine.science.negatives_from", "random"),
        "mine.science.negatives_from: expected 'mined', 'given', 'scored' or 'none', got 'random'",
    ),
    (
        put("mine.science.negatives_from", "none"),
        "negatives: expected 0 with negatives_from none, and at least 1 with mined or given, got 4 with none",
    ),
    (put("mine.science.sampling", "score"), "sampling_temperature: expected a number with sampling score, and"),
    (put("mine.science.range", [None, 5]), "range: expected [first, stop] with first below stop, or with stop null"),
    (
        put("mine.science.extra_ranges", [{"range": [9, None], "share": 0.7}, {"range": [60, 70], "share": 0.7}]),
        "extra_ranges: expected shares that add up to less than 1, got 1.4",
    ),
    (
        put("mine.science.search", {"backend": "torch", "lists": 4}),
        "mine.science.search.lists: unknown parameter",
    ),
    (put("seed", "13"), "seed: expected integer, got '13'"),
    (put("compute.device", "gpu"), "compute.device: expected 'auto', 'cpu', 'cuda' or 'mps', got 'gpu'"),
    (put("compute.token_budget", 64), "compute.token_budget: expected greater than or equal to 512, got 64"),
    (put("compute.cache", {"folder": "x"}), "compute.cache: not a parameter any more; set RETUNE_CACHE (a folder;"),
    (put("defaults.mine.negatives", 1.5), "defaults.mine.negatives: expected integer, got 1.5"),
    (put("defaults.mine.negative", 3), "defaults.mine.negative: unknown parameter; remove it or fix the spelling"),
    (
        put("defaults.convert.packages", ["numpy"]),
        "defaults.convert.packages: expected a parameter that all entries can share",
    ),
    (
        put("defaults.finetune.guide", "minilm"),
        "defaults.finetune.guide: expected a parameter that all entries can share; write",
    ),
    (drop("defaults.mine"), "defaults.mine: missing; add it"),
    (put("defaults.eval", {}), "defaults.eval: unknown parameter; remove it or fix the spelling"),
    (put("finetune.minilm_science.keep", "best"), "keep: not a parameter any more; write checkpoint"),
    (put("finetune.minilm_science.base_share", 0.3), "base_share: not a parameter any more; add an entry under merge"),
    (
        put("finetune.minilm_science.averaging", {"base_weight": 0.3}),
        "finetune.minilm_science.averaging.base_weight: not a parameter any more; add an entry under merge",
    ),
    (put("finetune.minilm_science.average_from", 1), "average_from: not a parameter any more; write averaging: {from"),
    (put("finetune.minilm_science.soup_size", 2), "soup_size: not a parameter any more; write averaging: {models: "),
    (put("defaults.finetune.checkpoint_minutes", 5.0), "checkpoint_minutes: not a parameter any more; set RETUNE_CHE"),
    (put("mine.science.source", "mined"), "mine.science.source: not a parameter any more; write negatives_from"),
    (put("mine.science.further_ranges", None), "further_ranges: not a parameter any more; write extra_ranges"),
    (put("convert.science.source", "x"), "convert.science.source: not a parameter any more; write origin"),
    (put("convert.science.everything_in", "test"), "everything_in: not a parameter any more; write assign_all_to"),
    (put("finetune.minilm_science.trainer", {"report_to": "wandb"}), "trainer.report_to: not a parameter; set RETUNE"),
    (
        put("fetch.minilm.sha256", "abc"),
        "fetch.minilm.sha256: expected string to match pattern '^[0-9a-f]{64}$', got 'abc'",
    ),
    (
        put("fetch.minilm.source", "bm52"),
        "fetch.minilm.source: expected one of package, hub, path, bm25, vectors, endpoint, got 'bm52'",
    ),
    (put("fetch.minilm.source", "hub"), "expected repo and revision with source 'hub', got package"),
    (
        put("fetch.minilm.pooling", "max"),
        "fetch.minilm.pooling: expected 'as_saved', 'mean', 'cls' or 'lasttoken', got 'max'",
    ),
    (put("fetch.minilm.query_max_length", 0), "fetch.minilm.query_max_length: expected greater than 0, got 0"),
    (
        put("convert.science.format", "word"),
        "convert.science.format: expected one of air_bench, beir, documents, ",
    ),
    (put("convert.science.test", 1.0), "convert.science.test: expected a share of at least 0 and below 1, or given"),
    (
        put("convert.science.dev", "some"),
        "convert.science.dev: expected a share of at least 0 and below 1, or given, got 'some'",
    ),
    (put("convert.science.packages", "numpy"), "convert.science.packages: expected list, got 'numpy'"),
    (
        put("convert.science.split_by", "date"),
        "convert.science.split_by: expected 'document', 'query' or 'group', got 'date'",
    ),
    (put("convert.science.test", 0.0), "convert.science.test: expected a share above 0 or given, got 0.0"),
    (
        put("convert.science.dev", 0.0),
        "finetune.minilm_science.dev: expected a data set with a dev split, got 'science'",
    ),
    (
        copy_entry("convert", "science", "Science-2"),
        "convert.Science-2: expected a name of a-z, 0-9 and _, got 'Science-2'",
    ),
    (
        put("synthesize.sympy_synthetic.dataset", "sinpy"),
        "synthesize.sympy_synthetic.dataset: expected one of science, sympy, got 'sinpy'",
    ),
    (put("synthesize.sympy_synthetic.extraction", {"removal_rate": 2.0}), "removal_rate: expected a number from 0 to"),
    (
        put("synthesize.sympy_synthetic.extraction", {"max_words": 2}),
        "max_words: expected at least min_words (5), got 2",
    ),
    (
        copy_entry("synthesize", "sympy_synthetic", "science"),
        "synthesize.science: convert has a data set of this name; rename one",
    ),
    (
        put("mine.science.dataset", "nothing"),
        "mine.science.dataset: expected one of science, sympy, sympy_synthetic, got 'nothing'",
    ),
    (put("mine.science.pool", "web"), "mine.science.pool: expected one of science, sympy, sympy_synthetic, got 'web'"),
    (put("mine.science.scorer", "bert"), "mine.science.scorer: expected one of minilm, "),
    (put("mine.science.model", "bert"), "mine.science.model: expected one of minilm, "),
    (put("mine.science.range", [5, 6]), "range: expected at least 4 ranks for 4 negatives, got [5, 6)"),
    (put("mine.science.range", [5]), "mine.science.range: "),
    (put("mine.science.negatives", 1.5), "mine.science.negatives: expected integer, got 1.5"),
    (
        put("finetune.minilm_science.learning_rate", "1e-4x"),
        "finetune.minilm_science.learning_rate: expected number, got '1e-4x'",
    ),
    (
        put("finetune.minilm_science.learning_rate", 0.0),
        "finetune.minilm_science.learning_rate: expected greater than 0, got 0.0",
    ),
    (
        put("finetune.minilm_science.method", "xyz"),
        "finetune.minilm_science.method: expected 'none', 'full', 'lora', 'icl', 'nudge', 'query_tower' or",
    ),
    (put("finetune.minilm_science.base", "bert"), "finetune.minilm_science.base: expected one of minilm, "),
    (
        put("finetune.minilm_science.data", "bert"),
        "finetune.minilm_science.data: expected one of science, sympy, sympy_synthetic, got 'bert'",
    ),
    (put("finetune.minilm_science.guide", "bert"), "finetune.minilm_science.guide: expected one of minilm, "),
    (put("finetune.minilm_science.dev", "bert"), "finetune.minilm_science.dev: expected one of "),
    (
        put("finetune.minilm_science.home", "sympy_synthetic"),
        "finetune.minilm_science.home: expected one of eval.datasets (science, sympy), got 'sympy_synthetic'",
    ),
    (
        put("defaults.finetune.home", "science"),
        "defaults.finetune.home: expected a parameter that all entries can share; write",
    ),
    (
        put("finetune.minilm_science.dev_metric", "acc"),
        "finetune.minilm_science.dev_metric: expected a metric such as ndcg_at_10",
    ),
    (
        put("finetune.minilm_science.hard_negatives", 5),
        "hard_negatives: expected at most mine.science.negatives (4), got 5",
    ),
    (
        put("finetune.minilm_science.anchor", {"dataset": "sympy", "weight": 1.0}),
        "anchor.dataset: expected one of several data sets that 'science' mixes (science), got 'sympy'",
    ),
    (
        put("finetune.minilm_science.batch_size", 0),
        "finetune.minilm_science.batch_size: expected greater than 0, got 0",
    ),
    (
        put("finetune.minilm_science.base", "minilm_science"),
        "expected a chain of models that ends at a fetched one, got a circle",
    ),
    (
        put("finetune.minilm_science.guide", "minilm_science"),
        "expected a chain of models that ends at a fetched one, got a circle",
    ),
    (copy_entry("finetune", "minilm_science", "minilm"), "finetune.minilm: fetch has a model of this name; rename one"),
    (
        put("compare.pairs", [["minilm_sympy", "minilm_law"]]),
        "compare.pairs.0: expected models that eval.models lists, got 'minilm_law'",
    ),
    (
        put("compare.pairs", [["minilm_sympy", "minilm_sympy"]]),
        "compare.pairs.0: expected two models, got 'minilm_sympy' twice",
    ),
    (
        put("compare.seeds", {"minilm": ["minilm_sympy"]}),
        "compare.seeds.minilm: expected tuned models that eval.models",
    ),
    (
        put("compare.seeds", {"minilm_sympy": ["minilm_science"]}),
        "compare.seeds.minilm_sympy: expected models that differ in their seed alone, 'minilm_science' differs in data",
    ),
    (put("defaults.finetune.seed", 3), "defaults.finetune.seed: expected a parameter that all entries can share"),
    (
        put("compare.gate.seed_spreads", 2.0),
        "compare.gate.seed_spreads: expected a group of 'minilm_science' in compare.",
    ),
    (
        put("compare.seeds", {"minilm_sympy": ["minilm_science"], "minilm_science": ["minilm_sympy"]}),
        "compare.seeds: expected each model in one group, got 'minilm_science' twice",
    ),
    (put("eval.models", ["minilm", "typo"]), "eval.models: expected one of minilm, "),
    (put("eval.models", []), "eval.models: expected list to have at least 1 item"),
    (
        put("eval.models", ["minilm_science"]),
        "eval.models: expected 'minilm', the base of 'minilm_science', got none; add it",
    ),
    (
        put("eval.datasets", ["sympy"]),
        "eval.datasets: expected 'science', which 'minilm_science' is tuned for, got none; add it",
    ),
    (
        put("eval.datasets", ["science"]),
        "eval.datasets: expected 'sympy' or 'sympy_synthetic', which 'minilm_sympy_synthetic_merged' is tuned for, got neither",
    ),
    (
        put("eval.datasets", ["science", "sympy", "science"]),
        "eval.datasets: expected each name once, got 'science' twice",
    ),
    (
        put("eval.datasets", ["science", "sympy", "handbook"]),
        "eval.datasets: expected one of science, sympy, sympy_synthetic, got 'handbook'",
    ),
    (
        put("eval.datasets", ["science", "sympy", "sympy_synthetic"]),
        "synthesize.sympy_synthetic.test: expected a share above 0, got 0.0; eval.datasets lists the data set",
    ),
    (put("eval.ks", [0]), "eval.ks.0: expected greater than 0, got 0"),
    (drop("eval.dims"), "eval.dims: missing; add it"),
    (put("eval.dims", 0), "eval.dims: expected greater than 0, got 0"),
    (put("eval.search", {"backend": "torch", "lists": 4}), "eval.search.lists: unknown parameter"),
    (
        put(
            "eval.search",
            {"backend": "faiss_hnsw", "links": 8, "build_depth": 9, "search_depth": 99, "min_recall": 0.9},
        ),
        "search.search_depth: expected at least the 100 documents to retrieve, got 99",
    ),
    (put("eval.exclude_same_id", 1), "eval.exclude_same_id: expected boolean, got 1"),
    (put("eval.judged_only", ["sympy_synthetic"]), "eval.judged_only: expected one of science, sympy, got"),
    (put("eval.judged_only", ["sympy", "sympy"]), "eval.judged_only: expected each name once, got 'sympy' twice"),
    (
        put("compare.metric", "map"),
        "compare.metric: expected a metric at a k, as the whole corpus of 'science' is ranked, got 'map'; or list science",
    ),
    (put("fetch.bm25.k1", 2.0), "fetch.bm25.k1: unknown parameter; remove it"),
    (
        put("mine.science.model", "bm25"),
        "mine.science.model: expected an embedding model, got 'bm25', which is BM25 and has no vectors; only eval",
    ),
    (put("mine.science.scorer", "bm25"), "mine.science.scorer: expected an embedding model, got 'bm25'"),
    (put("finetune.minilm_science.base", "bm25"), "finetune.minilm_science.base: expected an embedding model, got"),
    (put("finetune.minilm_science.guide", "bm25"), "finetune.minilm_science.guide: expected an embedding model, got"),
    (
        put("predict", {"x": PREDICT | {"model": "bert"}}),
        "predict.x.model: expected one of minilm, bm25, minilm_science,",
    ),
    (
        put("predict", {"x": PREDICT | {"dataset": "web"}}),
        "predict.x.dataset: expected one of science, sympy, sympy_syn",
    ),
    (
        put("predict", {"x": PREDICT | {"layout": "kaggle"}}),
        "predict.x.layout: expected 'eedi', 'eedi_unlabelled' or 'queries', got 'kaggle'",
    ),
    (put("predict", {"x": PREDICT | {"k": 0}}), "predict.x.k: expected greater than 0, got 0"),
    (put("predict", {"x": PREDICT | {"queries": "a b"}}), "predict.x.queries: expected a path of letters, digits"),
    (put("predict", {"x-y": PREDICT}), "predict.x-y: expected a name of a-z, 0-9 and _, got 'x-y'"),
    (
        put("compare.metric", "ndcg_at_7"),
        "compare.metric: expected a k of eval.ks (1, 3, 5, 10, 25, 100), got 'ndcg_at_7'; add 7 to eval.ks",
    ),
    (put("compare.metric", "f1_at_10"), "compare.metric: expected a metric such as ndcg_at_10"),
    (put("compare.gate", {"min_gains": 0.0}), "compare.gate.min_gains: unknown parameter; remove it"),
    (put("compare.gate.min_gian", 0.0), "compare.gate.min_gian: unknown parameter"),
    (put("compare.significance", 1.0), "compare.significance: expected less than 1, got 1.0"),
    (put("compare.confidence", 95), "compare.confidence: expected less than 1, got 95"),
    (put("compare.resamples", 100), "compare.resamples: expected greater than or equal to 1000, got 100"),
    (put("compare.margin", -0.01), "compare.margin: expected greater than or equal to 0, got -0.01"),
    (put("compare.changed_queries", -1), "compare.changed_queries: expected greater than or equal to 0, got -1"),
    (
        put("compare.references", [{"dataset": "scinece", "name": "x", "values": {"map_at_25": 0.5}}]),
        "compare.references.0.dataset: expected one of eval.datasets (science, sympy), got 'scinece'",
    ),
    (
        put("compare.references", [{"dataset": "science", "name": "x", "values": {"map_at_26": 0.5}}]),
        "compare.references.0.values: expected a k of eval.ks (1, 3, 5, 10, 25, 100), got 'map_at_26'; add 26",
    ),
    (
        put("compare.references", [{"dataset": "science", "name": "x", "values": {"map": 0.5}}]),
        "compare.references.0.values: expected a metric at a k, as the whole corpus of 'science' is ranked, got 'map'; "
        "or list science in eval.judged_only",
    ),
    (
        put("compare.references", [{"dataset": "science", "name": "x", "values": {}}]),
        "compare.references.0.values: expected dictionary to have at least 1 item",
    ),
    (
        only_science,
        "compare.gate.max_forgetting: expected a data set besides 'science' under eval.datasets, on which "
        "'minilm_science' may forget, got none; add one, or write null",
    ),
    (
        # 3 tuned models on 2 data sets: the smallest p of 10,000 resamples, about 0.0001, times 6
        put("compare.significance", 0.0005),
        "compare.resamples: expected at least 16000, so that one of 8 tests can be significant at 0.0005, got 10000",
    ),
    (put("fetch", None), "fetch: expected a mapping, got None"),
    (put("finetune.minilm_science", 3), "finetune.minilm_science: expected a mapping, got 3"),
    (put("convert.science", None), "convert.science: expected a mapping, got None"),
    (drop("finetune.minilm_science.base"), "finetune.minilm_science.base: missing; add it"),
    (drop("fetch.bm25.path"), "fetch.bm25.path: missing; write the model folder, or requirements.txt if source is not"),
]

ONLY_LINES = [  # what pydantic says of unions, of keys and of each entry that a default completes
    (put("finetune.minilm_science.checkpoint", "x"), "checkpoint: expected 'best' or 'last' or integer, got 'x'"),
    (put("mine.science.search", {"probes": 3}), "mine.science.search.probes: unknown parameter; remove it or fix the"),
    (put("defaults.mine.search", {}), "defaults.mine.search.backend: missing; add it"),
    (put("eval.search.backend", "faiss"), "eval.search.backend: expected one of 'torch', 'faiss_flat', 'faiss_ivf', "),
    (put("defaults.finetune.keep", "best"), "defaults.finetune.keep: not a parameter any more; write checkpoint"),
    (put("defaults.finetune.epoch", 2), "defaults.finetune.epoch: unknown parameter; remove it or fix the spelling"),
    (put("defaults.convert.leek", 2), "defaults.convert.leek: unknown parameter; remove it or fix the spelling"),
    (
        put("defaults.convert.packages", []),
        "defaults.convert.packages: expected a parameter that all entries can share",
    ),
    (lambda params: params["finetune"].update({3: {}}), "finetune.3: expected a name that is text, got 3; quote it"),
    (
        lambda params: params["mine"]["science"].update({None: 1}),
        "mine.science.None: expected a name that is text, got",
    ),
]


@pytest.mark.parametrize(("change", "line"), ONLY_LINES, ids=[line[:60] for _, line in ONLY_LINES])
def test_one_wrong_value_gives_one_line(change: Callable[[dict], object], line: str, default_params: dict) -> None:
    change(default_params)
    with pytest.raises(InputError) as caught:
        check(default_params)
    (found,) = str(caught.value).splitlines()
    assert line in found


@pytest.mark.parametrize("section", ["finetune", "defaults"])
def test_entry_of_a_section_that_is_no_mapping_is_not_shown(section: str, default_params: dict) -> None:
    default_params[section] = None
    with pytest.raises(InputError, match=rf"^params.yaml: {section}: expected a mapping, got None$"):
        show(default_params, "finetune.minilm_science")


@pytest.mark.parametrize(("change", "line"), WRONG, ids=[line[:60] for _, line in WRONG])
def test_wrong_value_gives_its_line(change: Callable[[dict], None], line: str, default_params: dict) -> None:
    change(default_params)
    with pytest.raises(InputError) as caught:
        check(default_params)
    lines = str(caught.value).splitlines()
    assert any(line in found for found in lines), lines
    assert all(found.startswith("params.yaml: ") for found in lines)


@pytest.mark.parametrize(
    ("method", "change", "line"),
    [
        ("nudge", put("mine.science.model", "minilm_sympy"), "mine.science.model: expected a model that treats all"),
        ("nudge", put("mine.science.scorer", "minilm_sympy"), "mine.science.scorer: expected a model that treats all"),
        (
            "nudge",
            put("compare.seeds", {"minilm_sympy": ["minilm_science"]}),
            "expected models that a seed changes, got 'minilm_sympy'",
        ),
        (
            "query_tower",
            put("finetune.minilm_science.base", "minilm_sympy"),
            "minilm_science.base: expected a model that",
        ),
        ("query_tower", put("finetune.minilm_science.guide", "minilm_sympy"), "minilm_science.guide: expected a model"),
        ("query_tower", put("merge.between", MERGE), "merge.between.tuned: expected a model that treats all data sets"),
        (
            "query_tower",
            put("synthesize.sympy_synthetic.model", "minilm_sympy"),
            "sympy_synthetic.model: expected a mod",
        ),
        (
            "query_tower",
            put("finetune.minilm_sympy.dev", "science"),
            "minilm_sympy.dev: expected its home (sympy), the",
        ),
    ],
)
def test_model_that_is_made_for_one_data_set_is_not_used_for_all(
    method: str, change: Callable[[dict], None], line: str, default_params: dict
) -> None:
    blocks = {"nudge": {"variant": "m"}, "query_tower": {"learns": "linear", "everywhere": False}}
    default_params["finetune"]["minilm_sympy"] |= {"method": method, method: blocks[method]}
    check(default_params)
    test_wrong_value_gives_its_line(change, line, default_params)


RERANKER = {
    "base": "minilm",
    "data": "sympy",
    "dev": "sympy",
    "guide": "minilm",
    "method": "cross_encoder",
    "cross_encoder": {"loss": "list_wise", "k": 50},
}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (put("finetune.minilm_science.base", "reranker"), "finetune.minilm_science.base"),
        (
            lambda params: params["finetune"]["minilm_science"].update(guide="reranker", guide_margin=0.0),
            "finetune.minilm_science.guide",
        ),
        (put("finetune.second", RERANKER | {"guide": "reranker"}), "finetune.second.guide"),
        (put("mine.science.model", "reranker"), "mine.science.model"),
        (put("synthesize.sympy_synthetic.model", "reranker"), "synthesize.sympy_synthetic.model"),
        (put("merge.between", MERGE | {"tuned": "reranker"}), "merge.between.tuned"),
        (put("export.small", EXPORT | {"model": "reranker"}), "export.small.model"),
        (put("predict.novel", PREDICT | {"model": "reranker"}), "predict.novel.model"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_cross_encoder_does_not_stand_where_vectors_are_needed(
    change: Callable[[dict], None], place: str, default_params: dict
) -> None:
    default_params["finetune"]["reranker"] = dict(RERANKER)
    check(default_params)
    expected = "a model that ranks a corpus" if place.startswith("predict") else "an embedding model"
    line = f"{place}: expected {expected}, got 'reranker', a cross-encoder; name another"
    test_wrong_value_gives_its_line(change, line, default_params)


def test_cross_encoder_scores_for_mining_and_is_tuned_further(default_params: dict) -> None:
    default_params["finetune"] |= {"reranker": RERANKER, "second": RERANKER | {"base": "reranker"}}
    default_params["mine"]["science"]["scorer"] = "reranker"
    assert check(default_params).cross_encoders == ["reranker", "second"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (put("finetune.reranker.cross_encoder.k", 0), "cross_encoder.k: expected greater than 0, got 0"),
        (
            put("finetune.reranker.cross_encoder.loss", "kl"),
            "cross_encoder.loss: expected 'binary' or 'list_wise', got",
        ),
        (
            drop("finetune.reranker.cross_encoder"),
            "cross_encoder: expected a block with method cross_encoder, got none",
        ),
        (put("finetune.reranker.hard_negatives", 0), "hard_negatives: expected at least 1 with method cross_encoder"),
        (
            put("finetune.reranker.guide", "bm25"),
            "finetune.reranker.guide: expected an embedding model, got 'bm25', wh",
        ),
        (put("finetune.reranker.base", "bm25"), "finetune.reranker.base: expected an embedding model, got 'bm25', wh"),
        (put("finetune.reranker.processes", 2), "expected auto or 1, and no deepspeed or fsdp, with method cross_enc"),
        (
            put("finetune.reranker.trainer", {"fsdp": "full_shard"}),
            "processes and trainer: expected auto or 1, and no ",
        ),
    ],
)
def test_wrong_cross_encoder_gives_its_line(change: Callable[[dict], None], line: str, default_params: dict) -> None:
    default_params["finetune"]["reranker"] = copy.deepcopy(RERANKER)
    test_wrong_value_gives_its_line(change, line, default_params)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engine", "flagembedding"),
        ("lora", {"rank": 4, "alpha": 8, "dropout": 0.0, "load_in_4bit": False, "target_modules": "all-linear"}),
        ("random_negatives", 8),
        ("gradient_caching", True),
        ("loss", "margin_mse"),
        ("guide_margin", 0.1),
        ("matryoshka_dims", [64]),
        ("l2_sp", 0.1),
        ("anchor", {"dataset": "science", "weight": 1.0}),
        ("frozen_layers", 2),
        ("averaging", {"from_epoch": 1}),
    ],
)
def test_option_that_a_cross_encoder_does_not_use_is_refused(name: str, value: object, default_params: dict) -> None:
    default_params["finetune"]["reranker"] = RERANKER | {name: value}
    with pytest.raises(InputError, match=f"{name}: expected .*, got ") as caught:
        check(default_params)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            put("merge.between.base", "minilm_science"),
            "base: expected what 'minilm_sympy' was tuned from (minilm), got 'm",
        ),
        (
            put("merge.between.dev", "sympy_synthetic"),
            "dev: expected what the models are tuned for (sympy), got 'sympy_s",
        ),
        (put("merge.between.base", "bm25"), "base: expected an embedding model"),
        (put("merge.between.tuned", "minilm"), "base: expected another model than the tuned ones, got 'minilm'"),
        (put("merge.between.tuned_2", "bm25"), "tuned_2: expected one of minilm_science"),
        (put("merge.between.guard_2", "bert"), "guard_2: expected one of science, "),
        (put("merge.between.metric", "acc"), "metric: expected a metric such as"),
        (
            put("convert.science.dev", 0.0),
            "guard: expected a data set with a dev split, got 'science' whose dev is 0.0",
        ),
        (put("merge.between.tuned", "between"), "expected a chain of models that ends at a fetched one, got a circle"),
        (copy_entry("merge", "between", "minilm_sympy"), "fetch or finetune has a model of this name; rename one"),
    ],
)
def test_wrong_merge_gives_its_line(change: Callable[[dict], None], line: str, default_params: dict) -> None:
    default_params["merge"]["between"] = dict(MERGE)
    check(default_params)
    test_wrong_value_gives_its_line(change, line, default_params)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (put("export.small.model", "bert"), "export.small.model: expected one of minilm, minilm_science, "),
        (
            put("export.small.model", "bm25"),
            "export.small.model: expected an embedding model, got 'bm25', which is BM25",
        ),
        (put("export.small.dataset", "law"), "export.small.dataset: expected one of science, sympy, "),
        (
            put("export.small.dtype", "int8"),
            "export.small: dtype: expected one of float32, float16, bfloat16 with format safetensors, got 'int8'",
        ),
        (put("export.small.format", "onnx"), "dtype: expected one of float32, int8 with format onnx, got 'float16'"),
        (
            lambda params: (
                params["export"]["small"].update(dims=128)
                or params["eval"].update(dims=256, models=["minilm", "minilm_sympy", "small"])
            ),
            "export.small.dims: expected at least eval.dims (256), got 128; raise it",
        ),
        (put("export.small.parity.least", 2.0), "export.small.parity.least: "),
        (put("export.small.format", "static"), "export.small: parity: expected null with format static, whose vectors"),
        (put("export.small.parity", None), "export.small: parity: expected limits with format safetensors, got null"),
        (copy_entry("export", "small", "minilm"), "export.minilm: fetch, finetune or merge has a model of this name"),
        (
            put("finetune.minilm_science.base", "small"),
            "finetune.minilm_science.base: expected a model that is no export, got 'small'; name 'minilm_sympy', its mo",
        ),
        (put("export.small.model", "small"), "export.small.model: expected a model that is no export, got 'small'; na"),
        (
            put("merge.minilm_sympy_synthetic_merged.tuned", "small"),
            "merge.minilm_sympy_synthetic_merged.tuned: expected one of minilm_science, ",
        ),
        (put("mine.sympy.model", "small"), "finetune.minilm_sympy: expected a chain of models that ends at a fetched"),
        (put("eval.models", ["small"]), "eval.models: expected 'minilm_sympy', the base of 'small', got none; add it"),
        (
            lambda params: (
                params["eval"].update(models=["minilm", "small"], datasets=["sympy"])
                or params["export"]["small"].update(model="minilm", dataset="science")
            ),
            "eval.datasets: expected 'science', which 'small' is judged on, got none; add it",
        ),
    ],
)
def test_wrong_export_gives_its_line(change: Callable[[dict], None], line: str, default_params: dict) -> None:
    default_params["export"]["small"] = copy.deepcopy(EXPORT)
    check(default_params)
    test_wrong_value_gives_its_line(change, line, default_params)


def test_null_of_a_static_model_takes_the_place_of_the_default_parity(default_params: dict) -> None:
    assert "parity" in default_params["defaults"]["export"]
    default_params["export"]["small"] = EXPORT | {"format": "static", "parity": None}
    check(default_params)


def test_export_of_a_model_made_for_one_data_set_is_refused(default_params: dict) -> None:
    default_params["export"]["small"] = copy.deepcopy(EXPORT)
    default_params["finetune"]["minilm_sympy"] |= {
        "method": "query_tower",
        "query_tower": {"learns": "linear", "everywhere": False},
    }
    with pytest.raises(
        InputError, match=r"export.small.model: expected a model that treats all data sets alike, got 'm"
    ):
        check(default_params)


def test_every_finding_is_reported_at_once(default_params: dict) -> None:
    put("mine.science.negatives", "four")(default_params)
    put("finetune.minilm_sympy.epochs", 0)(default_params)
    with pytest.raises(InputError) as caught:
        check(default_params)
    assert len(str(caught.value).splitlines()) == 2


def test_default_is_sound(default_params: dict) -> None:
    check(default_params)


def test_documents_alone_can_be_evaluated_by_synthetic_test_queries(default_params: dict) -> None:
    put("synthesize.sympy_synthetic.test", 0.2)(default_params)
    put("synthesize.sympy_synthetic.test_kinds", {"keyphrases": 1.0})(default_params)
    put("eval", default_params["eval"] | {"datasets": ["science", "sympy_synthetic"]})(default_params)
    default_params["eval"]["models"].remove("minilm_sympy")
    default_params["eval"]["models"].remove("minilm_sympy_bm25")
    put("convert.sympy.test", 0.0)(default_params)
    check(default_params)


@pytest.mark.parametrize(
    ("make", "found"), [(None, "nothing"), ("folder", "an empty folder"), ("file", "an empty file")]
)
def test_missing_raw_data_is_named(
    make: str | None, found: str, default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if make == "folder":
        (tmp_path / "requirements.txt").mkdir()
    elif make == "file":
        (tmp_path / "requirements.txt").touch()
    with pytest.raises(InputError, match=rf"convert.science.raw: expected data at requirements.txt, found {found}"):
        check_files(check(default_params), EXCLUDED, SLICES)


def test_missing_file_of_queries_is_named(
    default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy")
    put("predict", {"x": PREDICT})(default_params)
    with pytest.raises(
        InputError, match=r"^params.yaml: predict.x.queries: expected data at queries.tsv, found nothing"
    ):
        check_files(check(default_params), EXCLUDED, SLICES)


PSEUDO_LABELS = PREDICT | {"pseudo_labels": True}


def test_pseudo_labels_are_raw_data_that_is_written_later(
    default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("requirements.txt", "queries.tsv"):
        (tmp_path / name).write_text("given")
    add_pseudo_labelled(default_params)
    check_files(check(default_params), EXCLUDED, SLICES)


@pytest.mark.parametrize(
    ("predict", "asked", "line"),
    [
        ({"x": PREDICT}, {}, "got 'data/predictions/x'; add pseudo_labels: true to predict.x"),
        (
            {},
            {},
            "convert.asked.raw: expected pseudo-labels that an entry under predict writes, got 'data/predictions/x'",
        ),
        ({"x": PSEUDO_LABELS}, {"raw": "data/predictions/y"}, "add predict.y, or name one of these: x"),
        ({"x": PSEUDO_LABELS}, {"format": "squad"}, "convert.asked.format: expected beir, in which pseudo-labels are"),
        ({"x": PSEUDO_LABELS | {"dataset": "asked"}}, {}, "predict.x.dataset: expected another data set than 'asked'"),
    ],
)
def test_wrong_use_of_pseudo_labels_is_named(predict: dict, asked: dict, line: str, default_params: dict) -> None:
    add_pseudo_labelled(default_params, **asked)
    default_params["predict"] = predict
    with pytest.raises(InputError, match=re.escape(line)):
        check(default_params)


def test_model_does_not_learn_from_its_own_pseudo_labels(default_params: dict) -> None:
    add_pseudo_labelled(default_params)
    default_params["mine"]["asked"] = default_params["mine"]["science"] | {"dataset": "asked", "pool": "asked"}
    default_params["finetune"]["taught"] = default_params["finetune"]["minilm_science"] | {"data": "asked"}
    default_params["finetune"]["taught"]["home"] = "science"
    check(default_params)
    default_params["predict"]["x"]["model"] = "taught"
    with pytest.raises(
        InputError, match=r"finetune.taught: expected a chain of models that ends at a fetched one, got a"
    ):
        check(default_params)


def test_pseudo_labels_do_not_lift_a_licence(default_params: dict) -> None:
    add_pseudo_labelled(default_params)
    default_params["predict"]["x"]["dataset"] = "science"
    default_params["convert"]["science"]["use"] = "evaluation_only"
    with pytest.raises(
        InputError, match=r"predict.x.dataset: expected a data set to train on, got 'science' whose use"
    ):
        check(default_params)


def add_pseudo_labelled(params: dict, **changes: object) -> None:
    given = {"format": "beir", "raw": "data/predictions/x", "licence": "MIT", "origin": "queries", "test": 0.0}
    params["convert"]["asked"] = given | changes
    params["predict"] = {"x": dict(PSEUDO_LABELS)}


def test_file_that_was_not_pulled_is_named(
    default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    default_params["convert"]["science"]["raw"] = "data/raw/given"
    (tmp_path / "requirements.txt").write_text("numpy")
    absent = ["data/raw/given/corpus.jsonl", "data/excluded/science.csv", "data/slices/science.csv"]
    for name in absent:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / f"{name}.dvc").touch()
    with pytest.raises(InputError) as caught:
        check_files(check(default_params), EXCLUDED, SLICES)
    assert str(caught.value).splitlines() == [
        f"{name}: expected the file that {Path(name).name}.dvc describes, found nothing; run dvc pull {name}"
        for name in absent
    ]


def test_list_of_no_data_set_is_named(default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "requirements.txt").write_text("numpy")
    (tmp_path / "data/excluded").mkdir(parents=True)
    for name in ("science", "scinece"):
        (tmp_path / f"data/excluded/{name}.csv").write_text("query_id,doc_id\n")
    with pytest.raises(InputError) as caught:
        check_files(check(default_params), EXCLUDED, SLICES)
    assert str(caught.value) == (
        "data/excluded/scinece.csv: expected the name of a data set under eval.datasets, got 'scinece'; "
        "rename or remove it"
    )


def test_lists_are_checked_in_the_folder_that_eval_reads() -> None:
    folder = inspect.signature(stages.check.main).parameters["excluded"].default
    assert f"--excluded {folder} " in (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8")


def test_metric_without_a_cut_compares_candidate_lists(default_params: dict) -> None:
    put("compare.metric", "map")(default_params)
    put("eval.judged_only", ["sympy", "science"])(default_params)
    check(default_params)


def test_reference_without_a_cut_needs_candidate_lists_on_its_data_set_alone(default_params: dict) -> None:
    put("compare.references", [{"dataset": "sympy", "name": "x", "values": {"map": 0.5}}])(default_params)
    put("eval.judged_only", ["sympy"])(default_params)
    check(default_params)


@pytest.mark.parametrize("text", ["a: [1\n", "a: 1\na: 2\n"], ids=["not closed", "key twice"])
def test_broken_file_is_one_line(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=r"^params.yaml: expected YAML that DVC can read, got: [^\n]*line 2[^\n]*$"):
        read_all()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("finetune: {x: {}}\n", "finetune.x.base: missing; add it"),
        ("finetune:\n", "finetune: expected a mapping, got None"),
        ("- 1\n", "expected a mapping of sections, got a list or text"),
        ("text\n", "expected a mapping of sections, got a list or text"),
    ],
)
def test_file_that_dvc_yaml_cannot_use_gives_our_line(
    text: str, line: str, default_params: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    (tmp_path / "dvc.yaml").write_bytes((REPOSITORY / "dvc.yaml").read_bytes())
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(InputError, match=f"(?m)^params.yaml: {line}$"):
        check(default_params | read_all())


def test_missing_file_reports_every_section(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    with pytest.raises(InputError, match=r"params.yaml: seed: missing; add it"):
        check(read_all())


def test_entry_is_shown_as_it_runs_with_the_section_each_value_stands_in(default_params: dict) -> None:
    default_params["finetune"]["minilm_science"] |= {"epochs": 3, "averaging": {"from_epoch": 2}}
    shown = [line.split() for line in show(default_params, "finetune.minilm_science").splitlines()]
    assert ["epochs:", "3", "#", "finetune.minilm_science"] in shown
    assert ["averaging.from_epoch:", "2", "#", "finetune.minilm_science"] in shown
    assert ["learning_rate:", "0.0001", "#", "defaults.finetune"] in shown
    assert ["patience:", "null", "#", "absent,", "so", "off"] in shown
    with pytest.raises(InputError, match=r"^params.yaml: finetune.minilm: expected an entry, one of fetch.minilm, "):
        show(default_params, "finetune.minilm")
