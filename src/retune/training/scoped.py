"""Model directories that are their base, and add something for one data set."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from retune.core.records import read_corpus
from retune.encoding.fingerprint import base_hash
from retune.models.card import CARD
from retune.models.scope import QUERY_MODEL, SCOPE, VECTORS, Scope, corpus_hash, write_scope
from retune.training.spec import Task


def write_tower(folder: Path, task: Task, query_model: Path) -> None:
    """Write the base and a query model into an empty folder."""
    assert task.params.query_tower is not None
    _write_base(folder, task, read_corpus(task.dev), everywhere=task.params.query_tower.everywhere)
    shutil.copytree(query_model, folder / SCOPE / QUERY_MODEL)


def write_moved(folder: Path, task: Task, corpus: pd.DataFrame, vectors: np.ndarray) -> None:
    """Write the base and the moved vectors of the documents, (documents, dim), into an empty folder."""
    _write_base(folder, task, corpus, everywhere=False)
    np.save(folder / SCOPE / VECTORS, vectors)


def _write_base(folder: Path, task: Task, corpus: pd.DataFrame, *, everywhere: bool) -> None:
    shutil.copytree(task.base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CARD))
    base = base_hash(folder)
    scope = Scope(dataset=task.dev.name, everywhere=everywhere, corpus=corpus_hash(corpus), base=base)
    write_scope(folder, scope)
