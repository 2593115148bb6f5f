"""Scratch state of a run: what lets it go on after it was killed, and nothing else."""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from retune.core.files import sha256

CHECKPOINTS = "checkpoints"  # in the scratch directory
KEY_LENGTH = 16
PACKAGES = Path(__file__).parents[2]
CODE = (
    "core",
    "models",
    "encoding",
    "training",
    "retrieval/exact.py",
    "evaluation/metrics.py",
    "params/finetune.py",
)  # the same as dvc.yaml's deps of finetune
STATE = "trainer_state.json"  # what transformers writes last
LOG = logging.getLogger(__name__)


@contextmanager
def scratch_directory(out: Path, key: str) -> Iterator[Path]:
    """Give a run's scratch directory, beside its output; it goes once the block succeeds.

    It is found again by a run of the same key. State of other keys is deleted: no run would take it up.

    Args:
        out: What the run writes.
        key: Of all that decides its result, from `hash_inputs`.
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


def hash_inputs(inputs: Sequence[Path], state: Mapping[str, object]) -> str:
    """Hash files, folders of files, the code that training runs, and whatever else JSON can say."""
    code = [PACKAGES / name for name in CODE]
    files = [path for root in (*inputs, *code) for path in sorted(root.rglob("*") if root.is_dir() else [root])]
    hashes = [(path.name, sha256(path)) for path in files if path.is_file() and path.suffix != ".pyc"]
    return hashlib.sha256(json.dumps([hashes, state], sort_keys=True).encode()).hexdigest()


def newest_checkpoint(scratch: Path) -> Path | None:
    """Return the last checkpoint that was written to its end, and delete those that were not."""
    whole: dict[int, Path] = {}
    for path in (scratch / CHECKPOINTS).glob("checkpoint-*"):
        if _is_whole(path):
            whole[step_of(path)] = path
        else:
            LOG.info("%s: half-written, deleted", path)
            shutil.rmtree(path)
    return whole[max(whole)] if whole else None


def step_of(checkpoint: Path) -> int:
    """Return the number of the step after which a checkpoint was written."""
    return int(checkpoint.name.rpartition("-")[2])


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
