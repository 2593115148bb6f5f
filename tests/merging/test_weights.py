"""Merged weights lie between those of the base and of the tuned models; models that do not fit are refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from retune.core.errors import InputError
from retune.merging.weights import Mergeable
from retune.models.directory import load_model

Tuned = Callable[[float], Path]


@pytest.fixture
def tuned(tiny_model: Path, tmp_path: Path) -> Tuned:
    """Return the folder of a copy of the base whose weights are larger by a number."""

    def make(more: float) -> Path:
        folder = tmp_path / f"tuned_{more}"
        shutil.copytree(tiny_model, folder)
        [path] = folder.rglob("*.safetensors")
        weights = load_file(path)
        save_file({name: value + more for name, value in weights.items()}, path, metadata={"format": "pt"})
        return folder

    return make


def state(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder, "cpu").float().state_dict()


def written(models: Mergeable, weight: float, folder: Path) -> Path:
    folder.mkdir()
    models.write(weight, folder)
    return folder


def test_weights_are_interpolated_in_any_order(tiny_model: Path, tuned: Tuned, tmp_path: Path) -> None:
    models = Mergeable(tiny_model, [tuned(0.4)])
    base = state(tiny_model)
    for number, weight in enumerate((0.25, 1.0, 0.0)):
        merged = state(written(models, weight, tmp_path / str(number)))
        for name, values in merged.items():
            expected = base[name] + (0.4 * weight if values.is_floating_point() else 0)
            torch.testing.assert_close(values, expected, atol=2e-3, rtol=2e-3)


def test_tuned_models_count_equally(tiny_model: Path, tuned: Tuned, tmp_path: Path) -> None:
    models = Mergeable(tiny_model, [tuned(0.2), tuned(0.6)])
    merged, base = state(written(models, 0.5, tmp_path / "merged")), state(tiny_model)
    name = next(name for name, values in base.items() if values.is_floating_point())
    torch.testing.assert_close(merged[name], base[name] + 0.2, atol=2e-3, rtol=2e-3)


def test_merged_model_is_merged_again(tiny_model: Path, tuned: Tuned, tmp_path: Path) -> None:
    once = written(Mergeable(tiny_model, [tuned(0.4)]), 0.5, tmp_path / "once")
    twice, base = state(written(Mergeable(tiny_model, [once]), 0.5, tmp_path / "twice")), state(tiny_model)
    name = next(name for name, values in base.items() if values.is_floating_point())
    torch.testing.assert_close(twice[name], base[name] + 0.1, atol=2e-3, rtol=2e-3)


def test_weights_zero_and_one_are_the_models_bit_for_bit(tiny_model: Path, tuned: Tuned, tmp_path: Path) -> None:
    base, other = tmp_path / "base", tuned(0.4)
    shutil.copytree(tiny_model, base)
    for path in (*base.rglob("*.safetensors"), *other.rglob("*.safetensors")):
        weights = load_file(path)
        next(iter(weights.values())).view(-1)[0] = -0.0
        save_file(weights, path, metadata={"format": "pt"})
    models = Mergeable(base, [other])
    for weight, expected in ((0.0, base), (1.0, other)):
        folder = written(models, weight, tmp_path / str(weight))
        ours, theirs = (load_file(next(each.rglob("*.safetensors"))) for each in (folder, expected))
        assert {name: values.numpy().tobytes() for name, values in ours.items()} == {
            name: values.numpy().tobytes() for name, values in theirs.items()
        }


def test_narrow_format_of_the_base_does_not_round_what_was_learned(
    tiny_model: Path, tuned: Tuned, tmp_path: Path
) -> None:
    folder = tuned(0.0001)
    narrow = tmp_path / "narrow"
    shutil.copytree(tiny_model, narrow)
    [path] = narrow.rglob("*.safetensors")
    save_file(
        {name: value.to(torch.bfloat16) for name, value in load_file(path).items()}, path, metadata={"format": "pt"}
    )
    config = next(path.parent.glob("config.json"))
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "bfloat16"}))
    whole = {name: value.float() for name, value in load_file(next(folder.rglob("*.safetensors"))).items()}
    save_file(whole, next(folder.rglob("*.safetensors")), metadata={"format": "pt"})
    merged = written(Mergeable(narrow, [folder]), 1.0, tmp_path / "merged")
    found, expected = (load_file(next(model.rglob("*.safetensors"))) for model in (merged, folder))
    assert all(torch.equal(found[name].float(), expected[name]) for name in expected)


def test_other_pooling_is_refused(tiny_model: Path, tuned: Tuned) -> None:
    folder = tuned(0.1)
    path = next(folder.rglob("1_Pooling/config.json"))
    config = json.loads(path.read_text())
    mode = {name: value for name, value in config.items() if name.startswith("pooling_mode")}
    changed = {name: "tokens" in name and "cls" in name for name in mode} if len(mode) > 1 else {"pooling_mode": "cls"}
    path.write_text(json.dumps(config | changed))
    with pytest.raises(InputError, match="expected the modules of .*tiny .*Pooling.*, got .*Pooling"):
        Mergeable(tiny_model, [folder])


def test_other_prompt_is_refused(tiny_model: Path, tuned: Tuned) -> None:
    folder = tuned(0.1)
    settings = json.loads((folder / "retune.json").read_text())
    (folder / "retune.json").write_text(json.dumps(settings | {"query_prefix": "ask: "}))
    with pytest.raises(
        InputError, match=r"tuned_0.1: expected query_prefix '.*', as .*tiny has it, got 'ask: '; merge"
    ):
        Mergeable(tiny_model, [folder])


def test_other_vocabulary_is_refused(tiny_model: Path, tuned: Tuned) -> None:
    folder = tuned(0.1)
    path = next(folder.rglob("tokenizer.json"))
    path.write_text(path.read_text().replace('"matrix"', '"matrices"'))
    with pytest.raises(InputError, match="tuned_0.1: expected the vocabulary of .*tiny, got another one"):
        Mergeable(tiny_model, [folder])


def test_other_architecture_is_refused(tiny_model: Path, tuned: Tuned) -> None:
    folder = tuned(0.1)
    [path] = folder.rglob("*.safetensors")
    config = next(path.parent.glob("config.json"))
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_hidden_layers": 1}))
    weights = {name: value for name, value in load_file(path).items() if "layer.1." not in name}
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"expected weights of the same architecture as .*tiny, got .*layer.1.* none"):
        Mergeable(tiny_model, [folder])
