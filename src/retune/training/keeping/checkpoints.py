"""State for resuming a killed training: its scratch directory and its checkpoints."""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import accelerate
import peft

from retune.core.files import json_hash, sha256
from retune.encoding.fingerprint import machine
from retune.encoding.hardware import resolve_device
from retune.training.processes.group import num_processes
from retune.training.spec import Task

CHECKPOINTS = "checkpoints"  # in the scratch directory
KEY_LENGTH = 16
PACKAGES = Path(__file__).parents[2]
CODE = (
    "core",
    "models",
    "encoding",
    "training",
    "retrieval/cross_encoder.py",
    "retrieval/exact.py",
    "evaluation/metrics.py",
    "params/finetune.py",
    "params/finetune_rules.py",
    "params/methods.py",
)  # the code that training runs: the same as the deps of finetune in dvc.yaml
STATE = "trainer_state.json"  # transformers writes it last
LOG = logging.getLogger(__name__)


@contextmanager
def scratch_directory(out: Path, key: str) -> Iterator[Path]:
    """Yield the scratch directory of a training, beside its output; delete it if the block succeeds.

    If the block fails, the directory stays if it has a checkpoint, and a later training with the same key resumes
    there. Directories of other keys are deleted, as they cannot be resumed.

    Args:
        out: The directory of the tuned model.
        key: A hash of everything that determines the tuned model, from `training_key`.
    """
    parent = out.with_name(f".{out.name}.training")
    folder = parent / key[:KEY_LENGTH]
    for other in parent.glob("*"):
        if other.is_dir() and other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        if newest_checkpoint(folder) is None:
            shutil.rmtree(parent)
        raise
    shutil.rmtree(parent)


def training_key(task: Task) -> str:
    """Return a hash of everything that determines the bits of the tuned model: data, parameters, code and machine."""
    state = {
        "params": task.params.model_dump(),
        "token_budget": task.compute.token_budget,
        "seed": task.seed,
        "processes": num_processes(),
        "machine": machine(resolve_device(task.compute.device)),
        "libraries": [peft.__version__, accelerate.__version__],
    }
    dev = [task.dev / "corpus.parquet", task.dev / "dev"]
    guide = [task.guide] if task.params.needs_guide else []
    return _hash([task.base, task.mined, *dev, *guide], state)


def _hash(inputs: Sequence[Path], state: Mapping[str, object]) -> str:
    """Hash files, all files in folders, the code that training runs, and any other state that fits into JSON."""
    code = [PACKAGES / name for name in CODE]
    files = [path for root in (*inputs, *code) for path in sorted(root.rglob("*") if root.is_dir() else [root])]
    hashes = [(path.name, sha256(path)) for path in files if path.is_file() and path.suffix != ".pyc"]
    return json_hash([hashes, state])


def newest_checkpoint(scratch: Path) -> Path | None:
    """Return the last complete checkpoint, and delete incomplete ones."""
    complete: dict[int, Path] = {}
    for path in (scratch / CHECKPOINTS).glob("checkpoint-*"):
        if _is_complete(path):
            complete[step_of(path)] = path
        else:
            LOG.info("%s: incomplete checkpoint deleted", path)
            shutil.rmtree(path)
    return complete[max(complete)] if complete else None


def step_of(checkpoint: Path) -> int:
    """Return the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
