"""Time one forward and backward pass under each choice that training makes on a CPU.

python -m benchmarks.training_step
"""

import random
import time
from pathlib import Path

import torch

import stages  # noqa: F401  puts src/ on the path
from retune.encoding.batching import token_batches
from retune.encoding.tokenizing import pad
from retune.models.directory import load_model

MODEL = Path("models/minilm")
MAX_LENGTH, TEXTS, BUDGET = 128, 128, 4096


def main() -> None:
    """Print a row per attention code, dropout and batching."""
    words = Path(torch.__file__).read_text(encoding="utf-8").split()
    rng = random.Random(0)
    texts = [" ".join(rng.choices(words, k=rng.randint(10, 150))) for _ in range(TEXTS)]
    for attention in ("sdpa", "eager"):
        for dropout in (0.1, 0.0):
            model = load_model(MODEL, "cpu", attention=attention).train()
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = dropout
            ids = model.tokenizer(texts, truncation=True, max_length=MAX_LENGTH)["input_ids"]
            whole = [(list(range(TEXTS)), max(map(len, ids)))]
            for name, batches in (("one batch", whole), ("token batches", token_batches(list(map(len, ids)), BUDGET))):
                print(f"{attention:6} dropout {dropout:3} {name:14} {_step(model, ids, batches):6.1f} s", flush=True)


def _step(model: torch.nn.Module, ids: list[list[int]], batches: list[tuple[list[int], int]]) -> float:
    start = time.perf_counter()
    embeddings = torch.cat(
        [
            model(pad(model.tokenizer, [ids[row] for row in rows], length, torch.device("cpu")))["sentence_embedding"]
            for rows, length in batches
        ]
    )
    (embeddings @ embeddings.T).logsumexp(dim=1).mean().backward()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
