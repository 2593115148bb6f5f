"""Train on the same batches' worth of data with retune, sentence-transformers and FlagEmbedding, a process each.

    python -m benchmarks.training [--full] [--data FOLDER] [--model MODEL]

FOLDER holds eedi as its authors publish it; without it, documentation strings of installed packages are trained on.
MODEL is the folder of a model of the pipeline with mean pooling and no prefixes; without it, MiniLM is trained. A
query brings one positive and one negative; batch, learning rate, lengths and temperature are equal, all else is as
shipped: the peers train with dropout, retune without. `tuned` peers do without too, compute in bfloat16 by autocast
where the processor multiplies it fast, and use eager attention. Seconds a step are medians without the first steps;
memory growth is the most memory in the second half of the steps over that of the first. With --full each system trains
for an epoch of all the data and with three seeds, so that its dev scores mean more; it takes hours.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
import transformers
from transformers import PreTrainedModel, TrainerCallback

import stages
from benchmarks.machine import measure, write_results
from benchmarks.mining_sets import PYTHON_DOCS, fetch_model, raw_place
from benchmarks.peers import MAX_LENGTH
from benchmarks.public_data import EEDI, SHARED
from retune.core import records
from retune.datasets import convert
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import has_fast_bfloat16
from retune.evaluation.metrics import mean_scores
from retune.models.directory import read_encoding
from retune.params.finetune import Finetune
from retune.training.dev_scoring import evaluate
from retune.training.finetune import finetune
from retune.training.spec import Task

STEPS, SKIPPED = 6, 2
SEEDS = 3  # of --full
BATCH, LENGTH, RATE, TEMPERATURE = 64, MAX_LENGTH, 1e-4, 0.05
METRIC = "ndcg_at_10"
FIGURES = (
    ("train", "seconds_a_step", "s/step"),
    ("train_memory", "peak_gb", "GB"),
    ("train_memory_growth", "memory_growth", "second half of the steps / first half"),
)
SYSTEMS = (
    "ours", "sentence_transformers", "flagembedding", "sentence_transformers_tuned", "flagembedding_tuned"
)  # fmt: skip
COMPUTE = Compute(device="cpu", token_budget=4096)
RUN: dict[str, Any] = {
    "base": "minilm", "data": "data", "dev": "data", "guide": "minilm", "dev_metric": METRIC, "checkpoint": "last",
    "engine": "sentence_transformers", "method": "full", "epochs": 1, "batch_size": BATCH, "hard_negatives": 1,
    "in_batch_negatives": True, "learning_rate": RATE, "warmup_ratio": 0.1, "loss": "infonce",
    "temperature": TEMPERATURE, "attention": "auto", "processes": 1,
}  # fmt: skip


def main() -> None:
    """Run all systems in turn, print a line each and write the results."""
    parser = argparse.ArgumentParser(description="Measure training beside its peers.")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {system: [] for system in SYSTEMS}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work, options.data, None if options.full else STEPS * BATCH, options.model)
        for seed in range(SEEDS if options.full else 1):
            for system in SYSTEMS:
                environment = stages.WAITING if system == "ours" else {}
                runs[system].append(in_process(work, system, seed, **environment))
    cases = []
    for peer in SYSTEMS[1:]:
        for name, key, unit in FIGURES:
            ours, theirs = (statistics.median(run[key] for run in runs[system]) for system in ("ours", peer))
            cases.append(
                {"name": f"{name}_vs_{peer}", "ours": ours, "peer": theirs, "ratio": theirs / ours, "unit": unit}
            )
        ours, theirs = (statistics.mean(run["dev"] for run in runs[system]) for system in ("ours", peer))
        spread = max(np.ptp([run["dev"] for run in runs[system]]) for system in ("ours", peer))
        seeds = f", mean of {SEEDS} seeds, which differ by up to {spread:.4f}" if options.full else ""
        unit = f"dev {METRIC}{seeds}"
        cases.append({"name": f"train_dev_vs_{peer}", "ours": ours, "peer": theirs, "ratio": None, "unit": unit})
    for case in cases:
        print(f"{case['name']:40} {case['ours']:8.3f} {case['peer']:8.3f} {case['unit']}")
    parts = ("training", options.model and options.model.name, "full" if options.full else None)
    write_results("_".join(filter(None, parts)), cases)


def prepare(work: Path, data: Path, num_queries: int | None, model: Path | None = None) -> None:
    """Write the model, MiniLM if none is given, the data set with its dev split, and the same examples for all."""
    fetch_model(work / "model", model)
    name = "eedi" if raw_place("eedi", data).exists() else "python_docs"
    own = EEDI | {"rule": "cross_validation", "dev": 0.1} if name == "eedi" else PYTHON_DOCS | {"dev": 0.1}
    params = convert.parse_params("convert.x", SHARED | own)
    convert.convert(params, raw_place(name, data), work / "dataset", seed=13, where="convert.x")
    corpus, train = records.read_corpus(work / "dataset"), records.read_split(work / "dataset", "train")
    rng = np.random.default_rng(13)
    pairs = train.qrels[train.qrels["relevance"] > 0].drop_duplicates("query_id").sample(frac=1, random_state=13)
    pairs = pairs[: num_queries or len(pairs) // BATCH * BATCH]
    examples = pairs[["query_id"]].assign(
        positive_ids=[[doc_id] for doc_id in pairs["doc_id"]],
        negative_ids=[[doc_id] for doc_id in rng.choice(corpus["doc_id"], size=len(pairs))],
        positive_scores=[[1.0]] * len(pairs),
        negative_scores=[[0.0]] * len(pairs),
        source="data",
    )
    queries = train.queries[train.queries["query_id"].isin(pairs["query_id"])]
    records.write_mined(work / "mined", records.Mined(examples, queries, corpus))
    questions = dict(zip(queries["query_id"], queries["text"], strict=True))
    documents = dict(zip(corpus["doc_id"], records.document_texts(corpus), strict=True))
    with (work / "train.jsonl").open("w", encoding="utf-8") as file:
        for query_id, positives, negatives in examples.iloc[:, :3].to_numpy():
            row = {
                "query": questions[query_id],
                "pos": [documents[doc_id] for doc_id in positives],
                "neg": [documents[doc_id] for doc_id in negatives],
            }
            file.write(json.dumps(row) + "\n")


def in_process(work: Path, system: str, seed: int, **environment: str) -> dict[str, float]:
    """Train with one system in a process of its own, with more variables in its environment."""
    imports = "from pathlib import Path; from benchmarks.training import run"
    _, peak_gb = measure(
        [sys.executable, "-c", f"{imports}; run(Path({str(work)!r}), {system!r}, {seed})"], **environment
    )
    result: dict[str, float] = json.loads((work / f"{system}.json").read_text(encoding="utf-8"))
    print(f"{system:24} {result['seconds_a_step']:6.2f} s/step {peak_gb:6.2f} GB, dev {result['dev']:.4f}", flush=True)
    return result | {"peak_gb": peak_gb}


class _StepTimer(TrainerCallback):
    """Notes when each step ends, and the process's memory then; transformers gives it to every trainer."""

    ends: list[float] = []
    resident: list[float] = []

    def on_step_end(self, *args: object, **kwargs: object) -> None:
        self.ends.append(time.perf_counter())
        self.resident.append(psutil.Process().memory_info().rss)


def run(work: Path, system: str, seed: int) -> None:
    """Train, and keep the seconds a step and the dev score."""
    transformers.trainer.DEFAULT_CALLBACKS.append(_StepTimer)
    out = work / f"{system}_{seed}"
    peers: dict[str, Callable[..., Any]] = {
        "sentence_transformers": _sentence_transformers, "flagembedding": _flagembedding
    }  # fmt: skip
    if train := peers.get(system.removesuffix("_tuned")):
        model = train(work, out, seed, is_tuned=system.endswith("_tuned"))
    else:
        model = _ours(work, out, seed)
    seconds = statistics.median(np.diff(_StepTimer.ends[SKIPPED:]))
    resident = _StepTimer.resident[SKIPPED:]
    half = len(resident) // 2
    growth = max(resident[half:]) / max(resident[:half])
    encoder = Encoder.snapshot(model, read_encoding(work / "model"), COMPUTE)
    corpus, dev = records.read_corpus(work / "dataset"), records.read_split(work / "dataset", "dev")
    score = mean_scores(evaluate(encoder, corpus, dev, [10]))[METRIC]
    result = {"seconds_a_step": seconds, "dev": score, "memory_growth": growth}
    (work / f"{system}.json").write_text(json.dumps(result), encoding="utf-8")


def _ours(work: Path, out: Path, seed: int) -> Any:
    from sentence_transformers import SentenceTransformer

    task = Task(work / "model", work / "mined", work / "dataset", Finetune(**RUN), COMPUTE, seed, work / "model")
    finetune(task, out, out.with_suffix(".tsv"))
    return SentenceTransformer(str(out), device="cpu")


def _tune(model: torch.nn.Module) -> None:
    """Switch dropout off and choose eager attention, in whatever model a peer trains."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation("eager")


def _sentence_transformers(work: Path, out: Path, seed: int, *, is_tuned: bool) -> Any:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    lines = (work / "train.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [{"query": row["query"], "pos": row["pos"][0], "neg": row["neg"][0]} for row in map(json.loads, lines)]
    model = SentenceTransformer(str(work / "model"), device="cpu")
    model.max_seq_length = LENGTH
    if is_tuned:
        _tune(model)
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(out), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=RATE,
        warmup_steps=0.1, seed=seed, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
        bf16=is_tuned and has_fast_bfloat16(torch.device("cpu")),
    )  # fmt: skip
    loss = MultipleNegativesRankingLoss(model, scale=1 / TEMPERATURE)
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss).train()
    return model


def _flagembedding(work: Path, out: Path, seed: int, *, is_tuned: bool) -> Any:
    from FlagEmbedding.abc.finetune.embedder import (
        AbsEmbedderDataArguments,
        AbsEmbedderModelArguments,
        AbsEmbedderTrainingArguments,
    )
    from FlagEmbedding.finetune.embedder.encoder_only.base import EncoderOnlyEmbedderRunner
    from sentence_transformers import SentenceTransformer

    runner = EncoderOnlyEmbedderRunner(
        model_args=AbsEmbedderModelArguments(model_name_or_path=str(work / "model")),
        data_args=AbsEmbedderDataArguments(
            train_data=[str(work / "train.jsonl")], train_group_size=2, query_max_len=LENGTH, passage_max_len=LENGTH
        ),
        training_args=AbsEmbedderTrainingArguments(
            output_dir=str(out), num_train_epochs=1, per_device_train_batch_size=BATCH, learning_rate=RATE,
            warmup_steps=0.1, seed=seed, save_strategy="no", report_to="none", use_cpu=True, disable_tqdm=True,
            temperature=TEMPERATURE, sentence_pooling_method="mean", normalize_embeddings=True,
            dataloader_drop_last=True, bf16=is_tuned and has_fast_bfloat16(torch.device("cpu")),
        ),
    )  # fmt: skip
    if is_tuned:
        _tune(runner.model)
    runner.run()
    return SentenceTransformer(str(out), device="cpu")


if __name__ == "__main__":
    main()
