"""One training of a sweep, in a process of its own, and its result on disk."""

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retune.core.cli import log_to_stderr
from retune.core.errors import InputError
from retune.core.files import write_json
from retune.core.records import read_corpus, read_mined, read_table, write_table
from retune.encoding.encoder import Encoder
from retune.evaluation.metrics import parse_metric
from retune.models.directory import read_encoding
from retune.models.scope import read_addition
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.sweeping.configurations import Configuration
from retune.training.dev_scoring import evaluate, read_dev
from retune.training.finetune import finetune
from retune.training.keeping.checkpoints import KEY_LENGTH, training_key
from retune.training.spec import Task

RESULT, SCORES, HISTORY, MODEL = "result.json", "dev_scores.parquet", "history.tsv", "model"


@dataclass(frozen=True)
class Result:
    """What came out of a training.

    Attributes:
        configuration: The training.
        base: The base's score of each dev query, (queries,).
        tuned: The tuned model's score of each dev query, (queries,).
        best_step: The step with the highest dev score during training.
        steps: The number of steps.
        minutes: How long training and scoring took; of a resumed training, since it was resumed.
    """

    configuration: Configuration
    base: np.ndarray
    tuned: np.ndarray
    best_step: int
    steps: int
    minutes: float

    @property
    def score(self) -> float:
        """The mean dev score of the tuned model."""
        return float(self.tuned.mean())


def folder_of(configuration: Configuration, parent: Path) -> Path:
    """Return the folder of a training, named by a hash of all that its dev scores depend on."""
    keys = [training_key(configuration.task)]
    if configuration.task.params.dev_documents is not None:
        keys.append(training_key(configuration.scored))
    return parent / hashlib.sha256("".join(keys).encode()).hexdigest()[:KEY_LENGTH]


def read_result(configuration: Configuration, folder: Path) -> Result | None:
    """Return the result of a training; None if it has not finished."""
    path = folder / RESULT
    if not path.is_file():
        return None
    noted = json.loads(path.read_text(encoding="utf-8"))
    scores = read_table(folder / SCORES)
    return Result(configuration, scores["base"].to_numpy(), scores["tuned"].to_numpy(), **noted)


def train(configuration: Configuration, folder: Path) -> Result:
    """Train in a new process, which returns its memory at its end; write the result and delete the model.

    A training that was killed resumes from its last checkpoint.

    Raises:
        InputError: The training cannot start or fails, or its process was killed.
    """
    context = multiprocessing.get_context("spawn")  # CUDA cannot be used after a fork
    with ProcessPoolExecutor(1, context, initializer=_start) as pool:
        try:
            pool.submit(_train, configuration, folder).result()
        except BrokenProcessPool:
            raise InputError("the process of the training was killed; it may need more memory") from None
        except InputError:
            raise
        except Exception as error:  # of any library; the other configurations may well train
            reason = str(error).strip().partition("\n")[0]
            raise InputError(f"{type(error).__name__}: {reason}") from None
    result = read_result(configuration, folder)
    assert result is not None
    return result


def _start() -> None:
    """Log as a stage does, and end when the process of the sweep ends."""
    log_to_stderr()
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end() -> None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end, daemon=True).start()


def _train(configuration: Configuration, folder: Path) -> None:
    started = time.monotonic()
    history, model = folder / HISTORY, folder / MODEL
    if not (model.is_dir() and history.is_file()):
        finetune(configuration.task, model, history)
    scored = configuration.scored
    if scored.params.method == "cross_encoder":
        base, tuned = _score_pairs(scored, model)
    else:
        base, tuned = score_queries(scored, scored.base), score_queries(_without_cache(scored), model)
    write_table(folder / SCORES, base.rename(columns={"score": "base"}).assign(tuned=tuned["score"]))
    minutes = round((time.monotonic() - started) / 60.0, 2)
    write_json(folder / RESULT, _steps(history, scored.params.dev_metric) | {"minutes": minutes})
    shutil.rmtree(model, ignore_errors=True)


def score_queries(task: Task, model: Path) -> pd.DataFrame:
    """Score a model on the dev split as training does; return `query_id` and `score`."""
    metric = task.params.dev_metric
    corpus, dev = read_dev(task, read_mined(task.mined))
    addition = read_addition(model, task.dev.name, read_corpus(task.dev))
    dtype = "float32" if task.params.method == "nudge" else "auto"
    encoder = Encoder.load(model, task.compute, dtype=dtype, addition=addition)
    scores = evaluate(encoder, corpus, dev, [parse_metric(metric)[1]], documents=addition.vectors)
    return scores[["query_id", metric]].rename(columns={metric: "score"})


def _score_pairs(task: Task, model: Path) -> list[pd.DataFrame]:
    """Return `query_id` and `score` of the first stage alone, and of its best documents in a cross-encoder's order."""
    from retune.training.cross_encoding.reranking import Reranking

    metric = task.params.dev_metric
    reranking = Reranking(task, read_encoding(model), read_mined(task.mined))
    scorer = CrossEncoderScorer.load(model, _without_cache(task).compute)
    scores = [reranking.score_queries(of) for of in (None, scorer)]
    return [table[["query_id", metric]].rename(columns={metric: "score"}) for table in scores]


def _without_cache(task: Task) -> Task:
    """Return a task whose vectors and scores are not kept, as its model is deleted."""
    return replace(task, compute=task.compute.model_copy(update={"cache": None}))


def _steps(history: Path, metric: str) -> dict[str, Any]:
    """Return the step with the best dev score, the first of equals, and the number of steps."""
    table = pd.read_csv(history, sep="\t")
    best = int(table[f"dev_{metric}"].argmax())
    return {"best_step": int(table["global_step"].iloc[best]), "steps": int(table["global_step"].max())}
