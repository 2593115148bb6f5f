"""A saved adapter and its base become a model that fetch accepts; one that does not fit is refused."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from peft.utils import save_and_load
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.core.provenance import Origin, read_origins, write_origins
from retune.encoding.encoder import Encoder
from retune.fetching import fetch
from retune.fetching.saved_adapter import WEIGHTS, merge_adapter
from retune.models.directory import load_model
from retune.params.fetch import Fetch
from retune.params.methods import Lora
from retune.training.adapters import add_lora, save_adapter
from stages import merge_adapter as command
from tests.support.commands import in_blocks
from tests.support.parameters import COMPUTE

LORA = Lora(rank=4, alpha=8, dropout=0.0, load_in_4bit=False, target_modules="all-linear")
TEXTS = ["The sum of a matrix", "An array"]


@pytest.fixture(scope="module")
def adapter(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an adapter that changes the model."""
    model = load_model(tiny_model, "cpu").float()
    add_lora(model, LORA, base=tiny_model.name, seed=13)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "lora_B" in name:
                values.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    folder = tmp_path_factory.mktemp("adapters") / "epoch_1"
    save_adapter(model, folder)
    np.save(folder.parent / "vectors.npy", model.encode_document(TEXTS))
    return folder


def test_printed_entry_fetches_a_model_with_the_vectors_of_base_and_adapter(
    tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    printed = merge_adapter(adapter, tiny_model, tmp_path / "epoch_1")
    [(name, values)] = YAML(typ="safe").load(printed)["fetch"].items()
    assert name == "epoch_1"
    fetch.fetch(Fetch.parse("fetch.epoch_1", values), tmp_path / "fetched", where="fetch.epoch_1")
    vectors = Encoder.load(tmp_path / "fetched", COMPUTE).encode_documents(TEXTS)
    np.testing.assert_allclose(vectors, np.load(adapter.parent / "vectors.npy"), atol=1e-5)
    base = Encoder.load(tiny_model, COMPUTE).encode_documents(TEXTS)
    assert np.abs(vectors - base).max() > 0.01


def test_saving_and_merging_an_adapter_asks_no_hub(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(save_and_load, "check_file_exists_on_hf_hub", lambda name, _: asked.append(name))
    model = load_model(tiny_model, "cpu").float()
    add_lora(model, LORA, base=tiny_model.name, seed=13)
    save_adapter(model, tmp_path / "adapter")
    merge_adapter(tmp_path / "adapter", tiny_model, tmp_path / "merged")
    assert asked == []


def test_command_of_the_page_prints_an_entry(
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [line] = [line for line in in_blocks("docs/fetch.md") if "merge_adapter" in line]
    _, _, module, *arguments = line.split()
    assert module == "stages.merge_adapter"
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, arguments[2])
    config = Path(shutil.copytree(adapter, arguments[0])) / "adapter_config.json"
    config.write_text(config.read_text().replace('"tiny"', '"bge_en_icl"'))
    monkeypatch.setattr(sys, "argv", ["merge_adapter", *arguments])
    command.run(command.main)
    entry = YAML(typ="safe").load(capsys.readouterr().out)["fetch"]["bge_en_icl_epoch_4"]
    assert (entry["path"], entry["sha256"]) == (arguments[4], sha256(Path(arguments[4], "model.safetensors")))


def test_origins_are_those_of_the_tuned_model(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    inside = shutil.copytree(adapter, tmp_path / "tuned/adapters/epoch_1")
    origin = Origin("data", "science", "BSD-3-Clause", "the documentation", use="any")
    write_origins(tmp_path / "tuned", [origin])
    merge_adapter(inside, tiny_model, tmp_path / "whole")
    assert read_origins(tmp_path / "whole") == [origin]


def test_what_is_no_adapter_of_the_base_is_refused(
    tiny_model: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        InputError, match=r"tiny: expected a LoRA adapter, found no adapter_config.json; name `adapter`"
    ):
        merge_adapter(tiny_model, tiny_model, out)
    other = shutil.copytree(tiny_model, tmp_path / "other")
    monkeypatch.chdir(other)
    for base in (other, Path()):
        with pytest.raises(InputError, match=r"epoch_1: expected an adapter of other, got one of tiny; name that as"):
            merge_adapter(adapter, base, out)
    with pytest.raises(InputError, match=r"expected a new folder, got one that exists; name another, or remove it"):
        merge_adapter(adapter, tiny_model, adapter)
    assert not out.exists()


Change = Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda weights: {name: values[:, :1].contiguous() for name, values in weights.items()}, "size mismatch for "),
        (lambda weights: dict([*weights.items()][1:]), "weights that only one of them has, such as base_model"),
        (lambda weights: weights | {"base_model.layer.9": torch.ones(1)}, "has, such as base_model.layer.9; name the"),
    ],
    ids=["another shape", "one missing", "one more"],
)
def test_adapter_with_other_weights_is_refused(
    change: Change, reason: str, tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(adapter, tmp_path / "damaged")
    save_file(change(load_file(adapter / WEIGHTS)), damaged / WEIGHTS)
    with pytest.raises(InputError, match=f"damaged: expected an adapter that fits .*tiny, got: .*{reason}") as caught:
        merge_adapter(damaged, tiny_model, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("adapter_config.json", "{", "expected JSON, got: "),
        ("adapter_config.json", '{"peft_type": "IA3"}', "expected peft_type LORA, got IA3"),
        ("adapter_config.json", '{"peft_type": "LORA"}', "expected an adapter of tiny, got one of None"),
        (WEIGHTS, "", "expected an adapter that fits .*tiny, got: "),
        (WEIGHTS, None, f"expected a LoRA adapter, found no {WEIGHTS}"),
    ],
    ids=["no JSON", "another kind", "of no base", "empty weights", "no weights"],
)
def test_damaged_file_is_named(
    name: str, content: str | None, message: str, tiny_model: Path, adapter: Path, tmp_path: Path
) -> None:
    damaged = shutil.copytree(adapter, tmp_path / "damaged")
    (damaged / name).unlink()
    if content is not None:
        (damaged / name).write_text(content)
    with pytest.raises(InputError, match=message):
        merge_adapter(damaged, tiny_model, tmp_path / "out")
