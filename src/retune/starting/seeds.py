"""Add trainings of one model with other seeds to params.yaml."""

from collections.abc import Sequence
from pathlib import Path

from ruamel.yaml import YAML

from retune.check.checking import check
from retune.core.errors import ParameterError
from retune.core.files import write_text
from retune.core.params_file import read_params
from retune.starting import params_edit
from retune.starting.entries import Additions


def add_seeds(path: Path, model: str, seeds: Sequence[str]) -> str:
    """Add an entry of `finetune` for each seed, list it under `eval.models`, and group all under `compare.seeds`.

    Args:
        path: The file of parameters, which is written last.
        model: A tuned model.
        seeds: Whole numbers; the new entries are named after the model and its seed.

    Returns:
        What changed in the file.

    Raises:
        InputError: There is no such model, a seed is no number, or a name is taken; nothing is changed.
    """
    params = read_params(str(path))
    finetune = check(params).finetune
    if model not in finetune:
        raise ParameterError([f"finetune: expected an entry {model!r}, found {', '.join(finetune) or 'none'}"])
    if wrong := [seed for seed in seeds if not seed.isdecimal()]:
        raise ParameterError([f"SEEDS: expected whole numbers with commas between them, got {wrong[0]!r}"])
    numbers = [int(seed) for seed in seeds]
    names = [f"{model}_{number}" for number in numbers]
    grouped = (params["compare"].get("seeds") or {}).get(model, [])
    added = Additions(models=names, seeds={model: [*grouped, *names]})
    for name, number in zip(names, numbers, strict=True):
        added.add("finetune", name, dict(params["finetune"][model]) | {"seed": number})
    params_edit.refuse_existing(params, added)
    with path.open(encoding="utf-8", newline="") as file:
        old = file.read()
    new = params_edit.edited(old, added)
    check(YAML(typ="safe").load(new))
    write_text(path, new)
    return params_edit.difference(old, new)
