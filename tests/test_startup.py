"""A stage imports only libraries that it uses: torch, transformers and their like take seconds, in each of many stages."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from retune.core.provenance import Origin, write_origins
from retune.core.records import Dataset, empty_split, write_dataset
from tests.support.parameters import FINETUNE, MEASURING, recipe
from tests.support.repository import REPOSITORY
from tests.support.training_task import corpus, split

STAGES = sorted(path.stem for path in (REPOSITORY / "stages").glob("*.py") if path.stem != "__init__")
ENCODING = {"eval", "mine", "predict"}  # they search with torch even if no text is encoded
LOADING = {"sentence_transformers", "transformers", "datasets", "accelerate", "peft", "FlagEmbedding"}
HEAVY = LOADING | {
    "torch",
    "bm25s",
    "datasketch",
    "dvc",
    "faiss",
    "huggingface_hub",
    "openai",
    "py3langid",
    "scipy",
    "sklearn",
}


def libraries(arguments: list[str], folder: Path = REPOSITORY, **variables: str) -> set[str]:
    """Return the names of the packages that Python imports in a process of its own."""
    variables |= {"PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {
        name.partition(".")[0] for name in re.findall(r"^import time:.*\| +(\S+)$", done.stderr, flags=re.MULTILINE)
    }


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_script_imports_no_heavy_library(stage: str) -> None:
    imported = libraries(["-c", f"import stages.{stage}"])
    assert "retune" in imported
    assert sorted(imported & (LOADING if stage in ENCODING else HEAVY)) == []


@pytest.fixture
def project(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a data set, the tiny model and their params.yaml; the working directory."""
    write_dataset(tmp_path / "words", Dataset(corpus(), {"train": split(), "dev": empty_split(), "test": split()}))
    write_origins(tmp_path / "words", [Origin("data", "words", "MIT", "made for a test", "any")])
    (tmp_path / "tiny").symlink_to(tiny_model)
    (tmp_path / "queries.tsv").write_text("q1\tthe array\n")
    params = {
        "seed": 1,
        "compute": {"device": "cpu", "token_budget": 512},
        "eval": MEASURING | {"models": ["tiny"], "datasets": ["words"]},
        "fetch": {"words_only": {"source": "bm25"}},
        "mine": {"hard": recipe("words", "tiny")},
        "finetune": {"same": FINETUNE | {"method": "none"}},
        "predict": {
            "asked": {"model": "tiny", "dataset": "words", "queries": "queries.tsv", "layout": "queries", "k": 2}
        },
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    return tmp_path


MINE = "hard --dataset words --pool words --model tiny --scorer tiny --prompts no --out mined --metrics mined.json"
EVAL = (
    "--model tiny --dataset words --excluded none --means means.json --scores scores.parquet --trec run.trec "
    "--pair-scores pairs.json"
)
PREDICT = "asked --model tiny --dataset words --queries queries.tsv --out predictions"


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "arguments"), [("mine", MINE), ("eval", EVAL), ("predict", PREDICT)])
def test_no_model_library_is_imported_if_all_vectors_are_cached(
    stage: str, arguments: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETUNE_CACHE", str(project / "cache"))
    script = importlib.import_module(f"stages.{stage}")
    monkeypatch.setattr(sys, "argv", [stage, *arguments.split()])
    script.run(script.main)
    imported = libraries(["-m", f"stages.{stage}", *arguments.split()], project)
    assert "torch" in imported
    assert sorted(imported & (LOADING | {"openai"})) == []


@pytest.mark.parametrize(
    ("stage", "arguments"),
    [
        ("fetch", "words_only --out bm25"),
        ("finetune", "same --base tiny --mined none --dev words --guide tiny --out same --history same.tsv"),
    ],
)
def test_copy_or_bm25_needs_no_heavy_library(stage: str, arguments: str, project: Path) -> None:
    assert sorted(libraries(["-m", f"stages.{stage}", *arguments.split()], project) & HEAVY) == []


@pytest.mark.slow
def test_process_that_encodes_imports_the_library(project: Path) -> None:
    assert {"sentence_transformers", "transformers"} <= libraries(["-m", "stages.eval", *EVAL.split()], project)
