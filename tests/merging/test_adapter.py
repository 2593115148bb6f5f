"""A saved adapter and its base become a model that fetch accepts; one that does not fit is refused."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.encoding.encoder import Encoder
from retune.fetching import fetch
from retune.merging.adapter import merge_adapter
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


def test_what_is_no_adapter_of_the_base_is_refused(tiny_model: Path, adapter: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(InputError, match=r"tiny: expected a LoRA adapter, found no adapter_config.json; name a folder"):
        merge_adapter(tiny_model, tiny_model, out)
    other = shutil.copytree(tiny_model, tmp_path / "other")
    with pytest.raises(
        InputError, match=r"epoch_1: expected an adapter of other, got one of tiny; name that as --base"
    ):
        merge_adapter(adapter, other, out)
    with pytest.raises(InputError, match=r"expected a new folder, got one that exists; name another, or remove it"):
        merge_adapter(adapter, tiny_model, adapter)
    cut = shutil.copytree(adapter, tmp_path / "cut")
    weights = load_file(cut / "adapter_model.safetensors")
    for damaged in (
        {name: values[:, :1].contiguous() for name, values in weights.items()},
        dict(list(weights.items())[1:]),  # peft only warns of this
    ):
        save_file(damaged, cut / "adapter_model.safetensors")
        with pytest.raises(InputError, match=r"cut: expected an adapter that fits .*tiny, got: "):
            merge_adapter(cut, tiny_model, out)
    assert not out.exists()
