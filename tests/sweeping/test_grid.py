"""Grids are read as params.yaml is, combined, drawn from, and written as experiments of DVC."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from retune.core.errors import InputError
from retune.params.finetune import Finetune
from retune.sweeping.grid import Values, changed, combinations, described, draw, experiment, read_grid
from tests.support.repository import REPOSITORY


def test_values_are_read_as_in_params_yaml() -> None:
    settings = ["learning_rate=2e-5,1.0e-4", "averaging.from_epoch=1,null", "in_batch_negatives=true,false"]
    assert read_grid([*settings, "matryoshka_dims=[64,32],[32]", "method=full"]) == {
        "learning_rate": [0.00002, 0.0001],
        "averaging.from_epoch": [1, None],
        "in_batch_negatives": [True, False],
        "matryoshka_dims": [[64, 32], [32]],
        "method": ["full"],
    }


@pytest.mark.parametrize("value", ["null", "true", "1.5", "it's", "a b"])
def test_text_that_looks_like_something_else_is_quoted(value: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("finetune: {x: {data: y}}")
    [setting] = shlex.split(experiment("x", {"data": value}))[4:]
    apply_overrides(path, [setting])
    assert YAML(typ="safe").load(path)["finetune"]["x"]["data"] == value


def test_each_value_is_combined_with_each_of_the_others() -> None:
    assert combinations({"epochs": [1, 2], "seed": [3, 4]}) == [
        {"epochs": 1, "seed": 3},
        {"epochs": 1, "seed": 4},
        {"epochs": 2, "seed": 3},
        {"epochs": 2, "seed": 4},
    ]


def test_larger_draw_begins_with_the_smaller_one_and_depends_on_the_seed() -> None:
    grid = combinations({"epochs": [1, 2, 3], "seed": [3, 4, 5]})
    drawn = draw(grid, "9", seed=1)
    assert draw(grid, "4", seed=1) == drawn[:4]
    assert drawn != grid
    assert sorted(drawn, key=grid.index) == grid
    assert draw(grid, "9", seed=2) != drawn


@pytest.mark.parametrize("count", ["0", "10", "-1", "2.0", "all"])
def test_draw_of_none_or_too_many_is_refused(count: str) -> None:
    grid = combinations({"epochs": [1, 2, 3], "seed": [3, 4, 5]})
    line = f"--random: expected a whole number from 1 to 9, the size of the grid, got '{count}'"
    with pytest.raises(InputError, match=f"^{re.escape(line)}$"):
        draw(grid, count, seed=1)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (["epochs"], "expected a parameter and its values, such as learning_rate=2e-5,5e-5, got 'epochs'"),
        (["epochs="], "expected a parameter and its values, such as learning_rate=2e-5,5e-5, got 'epochs='"),
        (["epochs=[1"], "expected a parameter and its values, such as learning_rate=2e-5,5e-5, got 'epochs=[1'"),
        (["epochs=1", "epochs=2"], "expected epochs once, with all its values after one =, got it twice"),
        (["epochs=1,2,1"], "expected different values of epochs, got 1 twice"),
        (
            ["cross_encoder.k=5"],
            "expected a parameter that trains another model, got cross_encoder.k, which decides how it is scored",
        ),
        (["dev=other"], "expected a parameter that trains another model, got dev, which decides how it is scored"),
        (
            ["averaging={from_epoch: 1}"],
            "expected averaging.<parameter>=value,value for a parameter of a block, got 'averaging={from_epoch: 1}'",
        ),
    ],
)
def test_wrong_grid_is_one_line(settings: list[str], line: str) -> None:
    with pytest.raises(InputError, match=f"^--try: {re.escape(line)}$"):
        read_grid(settings)


def test_blocks_of_an_entry_keep_their_other_values() -> None:
    entry = {"epochs": 1, "averaging": {"from_epoch": 1, "models": 2}, "lora": None}
    values = {"averaging.from_epoch": 2, "lora.rank": 4, "seed": 7}
    assert changed(entry, values) == {
        "epochs": 1,
        "averaging": {"from_epoch": 2, "models": 2},
        "lora": {"rank": 4},
        "seed": 7,
    }
    assert entry["averaging"] == {"from_epoch": 1, "models": 2}


@pytest.mark.parametrize(
    "values",
    [
        {"learning_rate": 2e-05, "epochs": 3},
        {"averaging.from_epoch": 1, "in_batch_negatives": False, "hard_negatives": 2},
        {"matryoshka_dims": [64, 32], "weight_decay": 0.01, "guide_margin": None},
        {"trainer.lr_scheduler_type": "cosine", "trainer.run_name": "a b"},
    ],
    ids=described,
)
def test_experiment_has_the_parameters_of_the_configuration(values: Values, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    shutil.copy(REPOSITORY / "params.yaml", path)
    before = YAML(typ="safe").load(path)
    program, *options = shlex.split(experiment("minilm_science", values))
    assert [program, *options[:2]] == ["dvc", "exp", "run"]
    assert options[2::2] == ["-S"] * len(values)
    apply_overrides(path, options[3::2])
    after, defaults = YAML(typ="safe").load(path)["finetune"]["minilm_science"], before["defaults"]["finetune"]
    expected = changed(before["finetune"]["minilm_science"], values)
    assert Finetune.parse("finetune.x", after, defaults) == Finetune.parse("finetune.x", expected, defaults)
    assert after == expected
