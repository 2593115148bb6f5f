from pathlib import Path

from retune.models.directory import load_model
from retune.models.size import count_parameters


def test_parameters_are_counted_from_the_files(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load_model(tiny_model, "cpu")
    assert count_parameters(tiny_model) == sum(weights.numel() for weights in loaded.parameters())
    assert count_parameters(tmp_path) is None
