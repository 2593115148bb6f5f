"""The whole chain under DVC, in copies of the repository with a tiny model and tiny data."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from retune.core.files import sha256
from retune.core.records import read_split
from tests.llm.conftest import KEY
from tests.support import fork_server
from tests.support.commands import blocks, in_blocks, inline, lines
from tests.support.cross_encoders import save_tiny_cross_encoder
from tests.support.llm_server import Body, Response, reply, running
from tests.support.parameters import CONVERT, FINETUNE, MEASURING, MINE, recipe
from tests.support.repository import WORDS, clone, run, succeed, write_params

pytestmark = [pytest.mark.usefixtures("forks"), pytest.mark.slow]
DATASETS = ("first", "second")
# What the pages say to run on a finished pipeline, and a part of what it prints.
EVERYDAY = {
    "dvc status": "up to date",
    "dvc repro": "up to date",
    "dvc repro finetune@minilm_science": "up to date",
    "dvc commit --force finetune@NAME": "",
    "dvc commit -f": "",
    "dvc dag --collapse-foreach-matrix": "| finetune |",
    "dvc dag --mermaid": "finetune@tuned",
    "dvc metrics show": "gain.tuned",
    "dvc metrics show --md -R metrics/by_model": "| metrics/by_model/tuned.json |",
    "dvc metrics diff": "",
    "dvc metrics diff main": "",
    "dvc metrics diff main HEAD --md -R --targets metrics/eval": "",
    "dvc params diff main": "",
    "dvc plots show": "index.html",
    "dvc plots diff main": "index.html",
    "dvc plots diff main HEAD": "index.html",
    "dvc plots diff main HEAD --out dvc_plots": "index.html",
    "dvc exp show": "Experiment",
    "python -m stages.check": "",
    "python -m stages.check --show finetune.minilm_science": "learning_rate: 0.001",
    "python -m stages.export_data beir --dataset data/datasets/science --out science_beir": "",
    "python -m stages.cache show": "",
    "python -m stages.cache prune": "",
    "python -m stages.cache empty": "",
    ".github/scripts/stale.sh": "dvc.lock is current.",
    ".github/scripts/report.sh main": "## Metrics",
    "git log -1 benchmarks/results/stages.json": "commit ",
    'python -c "import torch; print(torch.version.cuda, torch.cuda.device_count())"': "",
}


def rag(words: list[str]) -> dict:
    """A data set of 40 documents of two words in a frame; the query names the two."""
    pairs = [(a, b) for a in words for b in words if a != b][:40]
    return {
        "corpus": {
            f"c{n}": f"read the {a} and then sort {b}. plot the {a} file. solve {b} node"
            for n, (a, b) in enumerate(pairs)
        },
        "queries": {f"q{n}": f"{a} of {b}" for n, (a, b) in enumerate(pairs)},
        "relevant_docs": {f"q{n}": [f"c{n}"] for n in range(len(pairs))},
    }


def tiny_params(fetch_values: dict) -> dict:
    convert = {"format": "rag_json", "val_is_test": False, "dev": 0.2, "test": 0.3}
    synthesize = {"method": "extractive", "queries_per_document": 3, "dev": 0.1}
    extraction = {"removal_rate": 0.5, "min_words": 2, "max_words": 20}
    of_entries = ("base", "data", "dev", "guide")
    merge = {"metric": "ndcg_at_10", "margin": 0.01, "rule": "point", "confidence": 0.95}
    defaults = {
        "fetch": {},
        "convert": {name: value for name, value in CONVERT.items() if name != "raw"} | {"merge_queries": True},
        "synthesize": synthesize | {"extraction": extraction},
        "mine": MINE | {"range": [1, 20]},
        "finetune": {name: value for name, value in FINETUNE.items() if name not in of_entries} | {"epochs": 2},
        "merge": merge,
        "export": {},
    }
    return {
        "seed": 13,
        "compute": {"device": "cpu", "token_budget": 512},
        "defaults": defaults,
        "fetch": {"tiny": fetch_values | {"path": "tiny_transformer"}},
        "convert": {name: convert | {"raw": f"data/raw/{name}.json"} for name in DATASETS},
        "synthesize": {"made": {"dataset": "first", "model": "tiny", "kinds": {"sentence": 1.0}}},
        "mine": {"made": {"dataset": "made", "model": "tiny", "pool": "made", "scorer": "tiny", "shortage": "random"}},
        "mix": {},
        "finetune": {
            "tuned": {"base": "tiny", "data": "made", "dev": "second", "guide": "tiny", "learning_rate": 1e-3}
        },
        "merge": {},
        "export": {},
        "rerank": {},
        "fuse": {},
        "eval": {"models": ["tiny", "tuned"], "datasets": list(DATASETS)} | MEASURING | {"ks": [1, 3, 10]},
        "compare": {
            "metric": "ndcg_at_10",
            "significance": 0.05,
            "confidence": 0.95,
            "resamples": 1000,
            "margin": 0.01,
            "changed_queries": 100,
        },
        "predict": {},
    }


@pytest.fixture(scope="module", autouse=True)
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Copies of the repository share an embedding cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETUNE_CACHE", str(tmp_path_factory.mktemp("embeddings")))
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_transformer: Path, fetch_values: dict) -> Path:
    """A copy of the repository with tiny inputs, run once and committed. Tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("pipeline") / "repository"
    clone(folder)
    shutil.rmtree(folder / "metrics", ignore_errors=True)
    (folder / "dvc.lock").unlink(missing_ok=True)
    shutil.copytree(tiny_transformer, folder / "tiny_transformer")
    (folder / "data/raw").mkdir(parents=True, exist_ok=True)
    for name, words in zip(DATASETS, (WORDS[3:11], WORDS[9:17]), strict=True):
        (folder / f"data/raw/{name}.json").write_text(json.dumps(rag(words)))
    params = tiny_params(fetch_values)
    write_params(folder, params)
    with fork_server.start() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv(fork_server.VARIABLE, str(server))  # with another hash seed than the server of the tests
        succeed("dvc repro", folder)
    succeed(
        "git add -A -f . && git reset -q .dvc/tmp .dvc/cache models data/datasets data/mined data/scores data/runs "
        "reports/index.html || true",
        folder,
    )
    succeed("git commit -qm all", folder)
    return folder


@pytest.fixture
def repository(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished repository to change."""
    shutil.copytree(finished, tmp_path / "repository", symlinks=True)
    return tmp_path / "repository"


def change(folder: Path, edit: dict[str, object]) -> None:
    """Set dotted keys of params.yaml."""
    from ruamel.yaml import YAML

    path = folder / "params.yaml"
    params = YAML(typ="safe").load(path)
    for key, value in edit.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    write_params(folder, params)


def stages_to_run(folder: Path) -> set[str]:
    """Return the stages that a repro would run, taking a rerun to change what it writes."""
    status = json.loads(succeed("dvc status --json", folder, DVC_NO_ANALYTICS="1").strip().splitlines()[-1])
    downstream = {}
    for line in succeed("dvc dag --dot", folder).splitlines():
        if "->" in line:
            before, after = (part.strip(' ;"') for part in line.split("->"))
            downstream.setdefault(before, set()).add(after)
    found, waiting = set(), set(status)
    while waiting:
        found.add(stage := waiting.pop())
        waiting |= downstream.get(stage, set()) - found
    return found


def test_chain_writes_a_forgetting_matrix(finished: Path) -> None:
    summary = json.loads((finished / "metrics/summary.json").read_text())
    assert set(summary) == {"gain", "forgetting_mean", "forgetting_worst"}
    assert set(summary["gain"]) == {"tuned"}
    cells = {path.relative_to(finished / "metrics/eval").as_posix() for path in finished.glob("metrics/eval/*/*.json")}
    assert cells == {f"{model}/{dataset}.json" for model in ("tiny", "tuned") for dataset in DATASETS}
    report = (finished / "reports/compare.md").read_text()
    assert "**withheld**, " in report  # 12 test queries
    assert "read the" not in report, "a text of the data reached Git"
    assert "read the" in (finished / "reports/index.html").read_text()
    for file in (finished / "metrics").rglob("*"):
        assert file.is_dir() or "read the" not in file.read_text(), "a text of the data reached Git"


def test_synthetic_data_set_is_audited_without_texts_and_shown_with_them(finished: Path) -> None:
    audit = json.loads((finished / "metrics/synthesized/made.json").read_text())
    assert audit["documents"] == 40
    assert audit["kinds"]["sentence"]["kept"] > 0
    assert "## Synthetic data sets" in (finished / "reports/compare.md").read_text()
    page = (finished / "reports/index.html").read_text()
    section = page[page.index('<section id="synthetic">') : page.index('<section id="mining">')]
    assert section.count("<td>sentence</td>") >= min(30, audit["kinds"]["sentence"]["kept"]) > 10
    assert "solve" in section


def test_licence_of_the_data_reaches_the_model_s_card(finished: Path) -> None:
    card = (finished / "models/tuned/model-card.md").read_text()
    assert "| data | first | MIT | made for a test | any |" in card  # by way of the synthetic data set
    assert "| model | tiny | not stated | tiny_transformer |  |" in card


def test_number_of_cells_is_models_times_datasets(finished: Path) -> None:
    names = succeed("dvc stage list --name-only eval", finished).split()
    assert len([name for name in names if name.startswith("eval@")]) == 4


def test_second_run_does_nothing_and_forced_run_writes_the_same_lock(repository: Path) -> None:
    lock = (repository / "dvc.lock").read_bytes()
    assert "Running stage" not in succeed("dvc repro", repository)
    output = succeed("dvc repro -f", repository)
    assert output.count("Running stage") == 11
    assert (repository / "dvc.lock").read_bytes() == lock
    assert succeed("git status --porcelain -uno", repository) == ""


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (
            {"convert.second.test": 0.4},
            {
                "convert@second",
                "finetune@tuned",
                "eval@tiny-second",
                "eval@tuned-first",
                "eval@tuned-second",
                "compare",
            },
        ),
        (
            {"mine.made.negatives": 3},
            {"mine@made", "finetune@tuned", "eval@tuned-first", "eval@tuned-second", "compare"},
        ),
        ({"compare.metric": "map_at_10"}, {"compare"}),
    ],
)
def test_change_reruns_only_what_depends_on_it(edit: dict, expected: set[str], repository: Path) -> None:
    change(repository, edit)
    assert stages_to_run(repository) == expected


def test_added_model_runs_only_its_own_cells(repository: Path) -> None:
    tuned = tiny_params({})["finetune"]["tuned"]
    change(repository, {"finetune.copied": tuned | {"method": "none"}, "eval.models": ["tiny", "tuned", "copied"]})
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"finetune@copied", "eval@copied-first", "eval@copied-second", "compare"}
    summary = json.loads((repository / "metrics/summary.json").read_text())
    assert summary["gain"]["copied"] == 0.0


def test_mixture_is_trained_on_like_a_mined_set(repository: Path) -> None:
    params = tiny_params({})
    mixed = params["finetune"]["tuned"] | {"data": "both"}
    second = recipe("second", "tiny", range=[1, 20], shortage="random")
    mixture = {"first": "second", "second": "made", "first_weight": 1.0, "second_weight": 0.5}
    models = ["tiny", "tuned", "mixed"]
    edit = {"mine.second": second, "mix.both": mixture, "finetune.mixed": mixed, "eval.models": models}
    change(repository, edit)
    succeed("python -m stages.check", repository)
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"mine@second", "mix@both", "finetune@mixed", "eval@mixed-first", "eval@mixed-second", "compare"}
    sources = json.loads((repository / "metrics/mined/both.json").read_text())["sources"]
    assert {name: source["weight"] for name, source in sources.items()} == {"second/second": 1.0, "made/made": 0.5}
    pairs = sources["second/second"]["positives"], round(0.5 * sources["made/made"]["positives"])
    steps = sum(-(-count // FINETUNE["batch_size"]) for count in pairs) * FINETUNE["epochs"]
    assert len((repository / "metrics/train/mixed.tsv").read_text().splitlines()) == 1 + steps
    assert "| `mixed` | `tiny` | second |" in (repository / "reports/compare.md").read_text()
    assert "WARNING" not in succeed("dvc plots show", repository)


def test_bm25_is_a_model_and_unlabelled_queries_are_answered(repository: Path) -> None:
    (repository / "data/raw/asked.tsv").write_text("a\tsort the array\nb\tplot of a graph\n")
    prediction = {"model": "bm25", "dataset": "made", "queries": "data/raw/asked.tsv", "layout": "queries"}
    models = ["bm25", "tiny", "tuned"]
    edit = {"predict.asked": prediction | {"prompt": None, "k": 3}, "eval.models": models}
    change(repository, edit | {"fetch.bm25": {"source": "bm25", "path": "requirements.txt"}})
    succeed("python -m stages.check", repository)
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"fetch@bm25", "eval@bm25-first", "eval@bm25-second", "compare", "predict@asked"}
    assert len((repository / "data/predictions/asked/run.trec").read_text().splitlines()) == 6
    assert "`bm25`" in (repository / "reports/compare.md").read_text()
    assert json.loads((repository / "metrics/pair_scores/bm25/first.json").read_text()) == {}
    assert "positives" in json.loads((repository / "metrics/pair_scores/tiny/first.json").read_text())
    assert "Running stage" not in succeed("dvc repro", repository)


def test_added_merge_runs_only_its_own_cells(repository: Path) -> None:
    entry = {
        "base": "tiny",
        "tuned": "tuned",
        "tuned_2": "tuned",
        "dev": "first",
        "guard": "second",
        "guard_2": "second",
    }
    change(repository, {"merge.between": entry | {"weight": "search"}, "eval.models": ["tiny", "tuned", "between"]})
    succeed("python -m stages.check", repository)
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"merge@between", "eval@between-first", "eval@between-second", "compare"}
    curve = json.loads((repository / "metrics/merge/between.json").read_text())
    assert [row["weight"] for row in curve["curve"]] == [step / 10 for step in range(11)]
    assert "| `between` | point | 0.01 |" in (repository / "reports/compare.md").read_text()
    assert "between" in json.loads((repository / "metrics/summary.json").read_text())["gain"]
    assert "failed to load" not in succeed("dvc plots show", repository)
    assert "Running stage" not in succeed("dvc repro", repository)


def test_added_export_runs_only_its_own_cells(repository: Path) -> None:
    entry = {"model": "tuned", "dataset": "second", "format": "safetensors", "dtype": "float16"}
    parity = {"parity": {"texts": 20, "least": 0.99, "median": 0.99}}
    change(repository, {"export.half": entry | parity, "eval.models": ["tiny", "tuned", "half"]})
    succeed("python -m stages.check", repository)
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    assert ran == {"export@half", "eval@half-first", "eval@half-second", "compare"}
    measured = json.loads((repository / "metrics/export/half.json").read_text())
    assert measured["texts"] == {"documents": 10, "queries": 10}
    assert "| `half` | `tuned` | safetensors | float16 | withheld |" in (repository / "reports/compare.md").read_text()
    assert "Running stage" not in succeed("dvc repro", repository)
    worse = {"dtype": "bfloat16", "parity": {"texts": 20, "least": 1.0, "median": 1.0}}
    change(repository, {"export.half": entry | worse})
    failed = run("dvc repro export@half", repository)
    assert "error: params.yaml: export.half.parity.least: expected at least 1, got 0.999" in failed.stderr
    assert not (repository / "models/half").exists()


def test_added_systems_run_only_their_own_cells(repository: Path, tiny_transformer: Path) -> None:
    raw = save_tiny_cross_encoder(tiny_transformer, repository / "tiny_cross_encoder")
    values = {"source": "path", "path": raw.name, "sha256": sha256(raw / "model.safetensors"), "pooling": "as_saved"}
    encoding = {"query_max_length": 32, "document_max_length": 32, "dtype": "float32"}
    models = ["tiny", "bm25", "tuned", "both", "reordered"]
    change(
        repository,
        {
            "fetch.bm25": {"source": "bm25", "path": "requirements.txt"},
            "fetch.pairs": values | encoding,
            "fuse.both": {"first": "bm25", "second": "tuned", "method": "rrf", "depth": 20},
            "rerank.reordered": {"first_stage": "both", "reranker": "pairs", "k": 5},
            "eval.models": models,
        },
    )
    succeed("python -m stages.check", repository)
    output = succeed("dvc repro", repository)
    ran = {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}
    cells = {f"eval@{model}-{dataset}" for model in ("bm25", "both", "reordered") for dataset in DATASETS}
    assert ran == {"fetch@bm25", "fetch@pairs", "fuse@both", "rerank@reordered", "compare"} | cells
    verdicts = json.loads((repository / "metrics/verdict.json").read_text())["tuned_models"]
    assert {row["model"]: (row["base"], row["home"]) for row in verdicts} == {
        "tuned": ("tiny", "first"),
        "both": ("bm25", "first"),
        "reordered": ("both", "first"),
    }
    assert json.loads((repository / "metrics/pair_scores/both/first.json").read_text()) == {"parts": ["bm25", "tuned"]}
    assert "| `reordered` | `both` | first |" in (repository / "reports/compare.md").read_text()
    assert "Running stage" not in succeed("dvc repro", repository)
    change(repository, {"rerank.reordered.k": 3})
    assert stages_to_run(repository) == {
        "rerank@reordered", "eval@reordered-first", "eval@reordered-second", "compare"
    }  # fmt: skip


def test_model_is_judged_by_synthetic_test_queries_if_there_are_no_others(repository: Path) -> None:
    change(
        repository,
        {
            "synthesize.made.test": 0.3,
            "synthesize.made.test_kinds": {"title": 1.0},
            "eval.datasets": ["made", "second"],
        },
    )
    succeed("python -m stages.check", repository)
    succeed("dvc repro", repository)
    report = (repository / "reports/compare.md").read_text()
    assert "on the synthetic test queries of made" in report
    assert "| model | made (synthetic test queries) | second |" in report
    measurements = json.loads((repository / "metrics/verdict.json").read_text())["measurements"]
    assert {row["dataset"] for row in measurements if row["is_synthetic"]} == {"made"}
    assert {row["dataset"] for row in measurements if row["is_home"]} == {"made"}
    assert "synthetic dev queries" not in (repository / "models/tuned/model-card.md").read_text()  # dev is real
    assert "`made` are synthetic test queries" in (repository / "models/tuned/model-card.md").read_text()


def test_key_of_a_language_model_is_nowhere_in_the_project(repository: Path, tmp_path: Path) -> None:
    def repeat_the_key(body: Body, before: int) -> Response:
        properties = body["response_format"]["json_schema"]["schema"]["properties"]
        number = zlib.crc32(body["messages"][1]["content"].encode())
        return reply({key: f"which {key} has the number {number} and {KEY}" for key in properties})

    model = {"model": "small", "temperature": 0.5, "max_tokens": 100, "timeout_s": 30.0}
    change(
        repository,
        {
            "synthesize.made.method": "llm",
            "synthesize.made.kinds": {"question": 0.5, "keywords": 0.5},
            "synthesize.made.generation": {"document_words": 50},
            "synthesize.made.llm": model,
        },
    )
    with running(repeat_the_key) as (server, url):
        command = "dvc repro --no-run-cache mine@made"
        said = succeed(command, repository, OPENAI_BASE_URL=url, OPENAI_API_KEY=KEY, RETUNE_REPLIES="data/replies")
        assert len(server.received) == 40
    assert KEY not in said
    everything = {*repository.rglob("*")} - {*(repository / "tests").rglob("*")}  # where the key is written down
    files = [path for path in everything if path.is_file() and not path.is_symlink()]
    assert any(path.is_relative_to(repository / "data/replies") for path in files)
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []
    queries = read_split(repository / "data/datasets/made", "train").queries
    assert queries["text"].str.contains("***", regex=False).all()


def test_killed_stage_leaves_no_trace_in_the_next_run(repository: Path) -> None:
    lock = (repository / "dvc.lock").read_bytes()
    shutil.rmtree(repository / "models/tuned")
    process = start("dvc repro -f -s finetune@tuned --no-run-cache", repository)
    wait_for(lambda: any(repository.glob("models/.tuned.training/*/kept/model.safetensors")), process)
    children = psutil.Process(process.pid).children(recursive=True)
    stage = next(child for child in children if "stages.finetune" in child.cmdline())
    stage.send_signal(signal.SIGKILL)
    assert process.wait() != 0
    assert not (repository / "models/tuned").exists()
    succeed("dvc repro --no-run-cache", repository)
    assert (repository / "dvc.lock").read_bytes() == lock
    assert not list((repository / "models").glob(".*"))


def small(command: str) -> str:
    """Return a documented command with the names of the small repository."""
    names = {"minilm_science": "tuned", "minilm": "tiny", "datasets/science": "datasets/first", "NAME": "tuned"}
    for name, ours in names.items():
        command = command.replace(name, ours)
    return command


def ran(output: str) -> set[str]:
    """Return the stages that ran."""
    return set(re.findall(r"^Running stage '(.+?)'", output, flags=re.MULTILINE))


def test_experiments_and_diffs(repository: Path) -> None:
    first, second = (block for block in blocks("README.md") if "exp run" in block)
    run_longer, show, *diffs = map(small, lines(first))
    succeed(run_longer, repository)
    committed = succeed("git show HEAD:./metrics/train/tuned.tsv", repository).splitlines()
    rows = (repository / "metrics/train/tuned.tsv").read_text().splitlines()
    assert (len(rows) - 1) * 2 == (len(committed) - 1) * 3  # three epochs for two
    for diff, name in zip(diffs, ("gain.tuned", "finetune.tuned.epochs"), strict=True):
        assert name in succeed(diff, repository)
    shown = succeed(show, repository, COLUMNS="120").splitlines()
    assert "gain.tuned" in shown[1]
    assert "forgetting_worst.tuned" in shown[1]
    assert any("longer" in line for line in shown)
    assert max(map(len, shown)) <= 120
    *_, compared = [succeed(small(line), repository) for line in lines(second)]
    assert re.search(r"^Path +Metric +HEAD +untuned +Change$", compared, flags=re.MULTILINE)


def test_queued_experiments_run_in_copies_of_their_own(repository: Path) -> None:
    queue, start_queue = (line for line in inline("docs/dvc.md") if "queue" in line)
    succeed(small(queue), repository)
    succeed(start_queue, repository)
    wait_for(lambda: not re.search("Running|Queued", succeed("dvc queue status", repository)))
    assert succeed("dvc queue status", repository).count("Success") == 2
    assert len(succeed("dvc exp list --name-only", repository).split()) == 2
    assert succeed("git status --porcelain -uno", repository) == ""


def test_documented_commands_run_and_print_what_they_promise(repository: Path, tmp_path: Path) -> None:
    for command, promised in EVERYDAY.items():
        output = succeed(small(command), repository, RETUNE_CACHE=os.fspath(tmp_path / "cache"))
        assert promised in output, f"{command}\n{output[-3000:]}"
    assert "Score by model" in (repository / "dvc_plots/index.html").read_text()
    assert (repository / "science_beir/corpus.jsonl").is_file()
    assert succeed("git status --porcelain -uno", repository) == ""


def test_clone_with_a_remote_runs_what_changed(repository: Path, tmp_path: Path) -> None:
    add_remote, *share = in_blocks("docs/dvc.md")[:4]
    for command in (add_remote.replace("s3://bucket/retune", f"{tmp_path}/remote"), *share):
        succeed(command, repository)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/make").write_text("#!/bin/sh\npython -m stages.check && dvc repro\n")  # `make repro`, set up
    (tmp_path / "bin/make").chmod(0o755)

    def changed(name: str, edit: dict[str, object]) -> Path:
        succeed(f"git clone -q repository {name}", tmp_path)
        change(tmp_path / name, edit)
        return tmp_path / name

    whole, parts = (block for block in blocks("docs/dvc.md") if "dvc pull" in block)
    other_metric, other_mining = {"compare.metric": "map_at_10"}, {"mine.made.negatives": 3}
    folder = changed("whole", other_metric)
    assert ran(succeed(f"export PATH={tmp_path}/bin:$PATH\n{whole}", folder)) == {"compare"}
    shutil.rmtree(folder / "models/tuned")
    succeed("dvc checkout", folder)
    assert (folder / "models/tuned/modules.json").is_file()
    folder = changed("parts", other_mining)
    output = succeed(f"set -e\n{parts}", folder)
    assert ran(output) == {"mine@made", "finetune@tuned", "eval@tuned-first", "eval@tuned-second", "compare"}
    assert "current" in succeed(".github/scripts/stale.sh", folder)
    [one] = (command for command in inline("docs/dvc.md") if command.startswith("dvc repro --pull"))
    folder = changed("one", other_mining)
    assert ran(succeed(small(one), folder)) == {"mine@made", "finetune@tuned"}
    assert not (folder / "data/scores").exists()  # nothing that it does not read
    folder = changed("without", other_metric)
    result = run(lines(parts)[1], folder)
    assert "failed to reproduce 'compare'" in result.stderr
    assert succeed("git status --porcelain", folder) == " M params.yaml\n"  # metrics and reports are still there
    folder = changed("lacking", other_mining)
    (tmp_path / "remote").rename(tmp_path / "gone")
    result = run(lines(parts)[1], folder)
    assert "failed to reproduce 'mine@made'" in result.stderr
    assert succeed("git status --porcelain", folder) == " M params.yaml\n"


def test_check_stops_before_anything_runs(repository: Path) -> None:
    change(repository, {"finetune.tuned.data": "unknown", "mine.made.negatives": "two"})
    result = run("python -m stages.check", repository)
    assert result.returncode == 1
    assert result.stderr.splitlines() == ["error: params.yaml: mine.made.negatives: expected integer, got 'two'"]


def test_failed_stage_says_one_line_and_leaves_the_old_output(repository: Path) -> None:
    raw = repository / "data/raw/second.json"
    raw.write_text(raw.read_text().replace('"queries"', '"questions"'))
    before = (repository / "metrics/data/second.json").read_bytes()
    result = run(
        "python -m stages.convert second --raw data/raw/second.json --out data/datasets/second "
        "--metrics metrics/data/second.json --lengths metrics/lengths/second.tsv",
        repository,
    )
    assert result.returncode == 1
    assert result.stderr == (
        "error: data/raw/second.json: expected an object with queries, corpus and relevant_docs, "
        "got none at 'queries'\n"
    )
    assert (repository / "metrics/data/second.json").read_bytes() == before
    assert not list(repository.rglob("*.partial"))


def start(command: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command without waiting for it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        command,
        shell=True,
        cwd=folder,
        env=os.environ | {"PATH": path},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 180.0) -> None:
    """Wait until a condition holds; fail if a process ends first or time runs out."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert process is None or process.poll() is None, "the process ended before the condition held"
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)
