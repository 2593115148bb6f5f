"""Scores of a base model are the same to the last digit printed, whatever instructions the processor has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retune.core.section import merge
from retune.datasets import convert
from retune.fetching import fetch
from retune.params.fetch import Fetch
from tests.support.repository import REPOSITORY

MEASURE = """
import json, sys
from pathlib import Path
import torch
from retune.encoding.compute import Compute
from retune.evaluation.evaluate import measure
from retune.params.eval import Measuring
from tests.support.parameters import MEASURING
folder, threads = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(threads)
result = measure(folder / "model", folder / "numpy", Measuring.parse("eval", MEASURING | {"dtype": "float32"}),
                 Compute(device="cpu", token_budget=4096), excluded=folder / "none", seed=13)
print(json.dumps(result.means, sort_keys=True))
"""
AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, params_as_read: dict[str, dict]) -> Path:
    """The default base model, and a data set of 120 documents, nine tenths of whose queries are for testing."""
    folder = tmp_path_factory.mktemp("machines")
    defaults = params_as_read["defaults"]
    minilm = Fetch.parse("fetch.minilm", params_as_read["fetch"]["minilm"], defaults["fetch"])
    fetch.fetch(minilm, folder / "model", where="fetch.minilm")
    own = {"packages": ["numpy"], "max_documents": 120, "max_characters": 240, "dev": 0.0, "test": 0.9}
    science = merge(defaults["convert"], params_as_read["convert"]["science"])
    params = convert.parse_params("convert.numpy", science | own)
    convert.convert(params, REPOSITORY / "requirements.txt", folder / "numpy", seed=13, where="convert.numpy")
    return folder


def measured(folder: Path, threads: int, **variables: str) -> dict[str, float]:
    command = [sys.executable, "-c", MEASURE, os.fspath(folder), str(threads)]
    env = os.environ | {"PYTHONPATH": "src"} | variables
    process = subprocess.run(command, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=True)
    return json.loads(process.stdout)


@pytest.mark.slow
def test_base_scores_do_not_depend_on_instructions_or_threads(folder: Path) -> None:
    here = measured(folder, threads=2)
    assert 0.4 < here["ndcg_at_3"] < 0.95
    assert measured(folder, threads=1, **AVX2) == here
