"""Let a student follow a teacher's vectors with retune and with sentence-transformers, a process each.

    python -m benchmarks.distilling STUDENT TEACHER MINED DATASET [--epochs NUMBER]

STUDENT and TEACHER are models of the pipeline, MINED is a mined set whose texts are learnt, and DATASET has the dev
queries that the students are scored on. retune fits its projection before training and keeps it fixed;
sentence-transformers learns one by gradient in EmbedDistillLoss, from the student's space into the teacher's, and drops
it afterwards. Texts, batch size, epochs and learning rate are equal; each library orders the texts itself, and the peer
reads them without prefixes, so STUDENT must have none. Neither trains with dropout, and both compute in bfloat16 where
the processor multiplies it fast.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import run_apart, write_results
from retune.core import records
from retune.encoding.compute import Compute
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import has_fast_bfloat16
from retune.evaluation.metrics import mean_scores
from retune.models.directory import load_model, read_encoding
from retune.params.finetune import Finetune
from retune.training.batches.plan import Plan
from retune.training.dev_scoring import evaluate
from retune.training.finetune import finetune
from retune.training.spec import Task

METRIC = "ndcg_at_10"
BATCH, RATE, WARMUP, SEED = 64, 1e-4, 0.1, 13
SYSTEMS = ("ours", "sentence_transformers")
COMPUTE = Compute(device="cpu", token_budget=4096)
UNITS = {"dev": f"dev {METRIC}", "minutes": "minutes", "peak_gb": "GB"}


def main() -> None:
    """Train both students in turn, print their figures and write the results."""
    parser = argparse.ArgumentParser(description="Measure distillation beside its peer.")
    for name in ("student", "teacher", "mined", "dataset"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    places = [str(place) for place in (given.student, given.teacher, given.mined, given.dataset)]
    found = {system: run_apart("distilling", system, places, given.epochs) for system in SYSTEMS}
    cases = []
    for key, unit in UNITS.items():
        ours, peer = (found[system][key] for system in SYSTEMS)
        cases.append({"name": f"distil_{key}_vs_{SYSTEMS[1]}", "ours": ours, "peer": peer, "ratio": None, "unit": unit})
        print(f"{key:8} {ours:8.4f} {peer:8.4f} {unit}")
    print(f"the student before training: {found['ours']['before']:.4f}; its teacher: {found['ours']['teacher']:.4f}")
    write_results("distilling", cases)


def run(system: str, places: Sequence[str], epochs: int, out: str) -> None:
    """Train one student, and write its dev score, and how many minutes training took, to `out`."""
    student, teacher, mined, dataset = map(Path, places)
    params = Finetune(
        base="student", data="mined", dev="dev", guide="teacher", dev_metric=METRIC, checkpoint="last",
        engine="sentence_transformers", method="full", epochs=epochs, batch_size=BATCH, hard_negatives=0,
        in_batch_negatives=False, learning_rate=RATE, warmup_ratio=WARMUP, loss="embed_distill", temperature=0.05,
        attention="auto", processes=1,
    )  # fmt: skip
    task = Task(student, mined, dataset, params, COMPUTE, SEED, teacher)
    encoding = read_encoding(student)
    if encoding.query_prefix or encoding.query_suffix or encoding.document_prefix:
        raise SystemExit(
            f"error: {student}: expected a model without prefixes and suffix, got one with some; name another"
        )
    corpus, dev = records.read_corpus(task.dev), records.read_split(task.dev, "dev")

    def score(encoder: Encoder) -> float:
        return float(mean_scores(evaluate(encoder, corpus, dev, [10]))[METRIC])

    figures = {"before": score(Encoder.load(task.base, COMPUTE)), "teacher": score(Encoder.load(task.guide, COMPUTE))}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        (_ours if system == "ours" else _sentence_transformers)(task, Path(folder))
        figures["minutes"] = (time.perf_counter() - started) / 60.0
        model = load_model(Path(folder, "model"), "cpu")
        figures["dev"] = score(Encoder.snapshot(model, encoding, COMPUTE))
    Path(out).write_text(json.dumps(figures), encoding="utf-8")


def _ours(task: Task, folder: Path) -> None:
    finetune(task, folder / "model", folder / "history.tsv")


def _sentence_transformers(task: Task, folder: Path) -> None:
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

    plan = Plan(records.read_mined(task.mined), task.params, seed=task.seed)
    teacher = Encoder.load(task.guide, task.compute)
    texts, prompts = zip(*plan.queries, strict=True)
    queries, documents = teacher.encode_queries(texts, prompts), teacher.encode_documents(plan.documents)
    rows = [
        {"query": texts[query], "document": plan.documents[document], "label": [queries[query], documents[document]]}
        for batch in map(plan.batch, range(plan.num_batches))
        for query, document in zip(batch.queries, batch.documents[batch.groups[:, 0]], strict=True)
    ]
    torch.manual_seed(task.seed)
    model = SentenceTransformer(str(task.base), device="cpu")
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(folder), num_train_epochs=task.params.epochs, per_device_train_batch_size=BATCH,
        learning_rate=RATE, warmup_steps=WARMUP, seed=task.seed, save_strategy="no", report_to="none", use_cpu=True,
        bf16=has_fast_bfloat16(torch.device("cpu")),
    )  # fmt: skip
    loss = EmbedDistillLoss(model, projection_dim=queries.shape[1])
    SentenceTransformerTrainer(model=model, args=arguments, train_dataset=Dataset.from_list(rows), loss=loss).train()
    model.save(str(folder / "model"))


if __name__ == "__main__":
    main()
