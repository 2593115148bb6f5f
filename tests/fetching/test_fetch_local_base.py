"""Under DVC, a change of any file of a local base model is seen, and brings in that model again and no other."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

from retune.core.files import sha256
from tests.support.repository import clone, run, succeed, write_params

pytestmark = [pytest.mark.usefixtures("forks"), pytest.mark.slow]


def save_base(tiny_transformer: Path, folder: Path) -> None:
    """Write a model of a transformer, pooling and a linear layer."""
    torch.manual_seed(0)
    modules = [Transformer(str(tiny_transformer)), Pooling(32), Dense(32, 16)]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)


def stages_run(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.mark.slow
def test_change_of_any_file_of_a_local_base_is_seen(
    tiny_transformer: Path, fetch_values: dict, default_params: dict, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    clone(repository)
    (repository / "dvc.lock").unlink()
    fetch = {"bm25": default_params["fetch"]["bm25"]}
    for name in ("first", "second"):
        base = repository / "data/raw" / name
        save_base(tiny_transformer, base)
        weights = {"path": f"data/raw/{name}", "sha256": sha256(base / "model.safetensors")}
        fetch[name] = fetch_values | weights | {"pooling": "as_saved"}
        succeed(f"dvc add -q data/raw/{name}", repository)
    others = {name: {} for name in ("convert", "synthesize", "mine", "mix", "finetune", "merge", "export", "predict")}
    write_params(repository, default_params | others | {"fetch": fetch})
    output = succeed("dvc repro fetch", repository)
    assert stages_run(output) == {"fetch@bm25", "fetch@first", "fetch@second"}

    base = repository / "data/raw/first"
    config = json.loads((base / "1_Pooling/config.json").read_text())
    dense = {name: value + 1 for name, value in load_file(base / "2_Dense/model.safetensors").items()}
    for pooling, dvc_add in (
        ("cls", "true"),
        ("max", "dvc add -q data/raw/first"),
    ):  # seen before it is added and after
        rewrite(base / "1_Pooling/config.json", json.dumps(config | {"pooling_mode": pooling}))
        succeed(dvc_add, repository)
        status = json.loads(succeed("dvc status --json fetch", repository).strip().splitlines()[-1])
        assert set(status) == {"fetch@first"}
        output = succeed("dvc repro fetch", repository)
        assert stages_run(output) == {"fetch@first"}
    written = json.loads((repository / "models/first/1_Pooling/config.json").read_text())
    assert written["pooling_mode"] == "max"

    (base / "2_Dense/model.safetensors").unlink()
    save_file(dense, base / "2_Dense/model.safetensors")
    assert "data/raw/first" in succeed("dvc status fetch@first", repository)
    assert stages_run(succeed("dvc repro fetch", repository)) == {"fetch@first"}
    found = load_file(repository / "models/first/2_Dense/model.safetensors")
    assert all(torch.equal(found[name], value) for name, value in dense.items())
    assert not stages_run(succeed("dvc repro fetch", repository))


def rewrite(path: Path, text: str) -> None:
    path.unlink()  # DVC's copy may be a link
    path.write_text(text)


def test_entry_without_a_path_is_named(default_params: dict, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    clone(repository)
    del default_params["fetch"]["minilm"]["path"]
    write_params(repository, default_params)
    assert (
        "'stages.fetch@minilm.deps' in 'dvc.yaml': Could not find 'item.path'" in run("dvc status", repository).stderr
    )
    line = "params.yaml: fetch.minilm.path: missing; write the model folder, or requirements.txt if source is not path; dvc.yaml reads it in every entry"
    assert line in run("python -m stages.check", repository).stderr
