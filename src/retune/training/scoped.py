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
    """Write the model for documents, which is the base or the teacher, and a query model into an empty folder."""
    tower = task.params.query_tower
    base, everywhere = (task.base, tower.everywhere) if tower else (task.guide, True)
    _write_base(folder, base, task.dev.name, read_corpus(task.dev), everywhere=everywhere)
    shutil.copytree(query_model, folder / SCOPE / QUERY_MODEL)


def write_moved(folder: Path, task: Task, corpus: pd.DataFrame, vectors: np.ndarray) -> None:
    """Write the base and the moved vectors of the documents, (documents, dim), into an empty folder."""
    _write_base(folder, task.base, task.dev.name, corpus, everywhere=False)
    np.save(folder / SCOPE / VECTORS, vectors)


def _write_base(folder: Path, base: Path, dataset: str, corpus: pd.DataFrame, *, everywhere: bool) -> None:
    shutil.copytree(base, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CARD))
    scope = Scope(dataset=dataset, everywhere=everywhere, corpus=corpus_hash(corpus), base=base_hash(folder))
    write_scope(folder, scope)
