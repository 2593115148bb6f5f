"""Time the encoder and its cache beside sentence-transformers on the same model, texts and maximum length.

    python -m benchmarks.encoding

Ours as shipped (number format by the hardware, no cache) and in float32, against `SentenceTransformer.encode` at its
defaults, on documents of Python packages, and of NFCorpus and Eedi where ../shared/data has them; how far that is from
the machine's rate of matrix products; nDCG@10 of both; then the cache: cold, warm, ten documents added, and 100,000
texts looked up. A measurement is the median of three runs, or one run if that took longer than a minute.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sentence_transformers import SentenceTransformer

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import case, versus, write_results
from retune import converting, fetching
from retune.encoding import Encoder
from retune.evaluation import evaluate
from retune.metrics import mean_scores
from retune.params.compute import Cache, Compute
from retune.params.fetch import Fetch
from retune.params.section import read_value
from retune.records import Split, document_texts, read_corpus, read_split

SHARED = Path("../shared/data")
MAX_LENGTH = 256
SAMPLE, ADDED, LOOKED_UP = 1000, 10, 100_000
RUNS, ENOUGH_S = 3, 60.0
PEAK_SIZE = 4096
COLUMNS = ("name", "ours", "peer", "ratio", "unit")
COMPUTE = Compute(device="auto", token_budget=4096, cache=None)


def main() -> None:
    """Measure, print a table and write the results."""
    with tempfile.TemporaryDirectory() as folder:
        model = _model(Path(folder))
        corpus, test = _science(Path(folder))
        samples = {"python_docs": document_texts(corpus), **_shared_samples()}
        cases = []
        for name, texts in samples.items():
            cases += _encode_cases(model, name, texts)
        cases += _quality_cases(model, corpus, test)
        cases += _cache_cases(model, Path(folder) / "cache", samples["python_docs"])
    for name, ours, peer, ratio, unit in (tuple(found[key] for key in COLUMNS) for found in cases):
        print(f"{name:62} {ours:>12} {peer or '':>12} {ratio or '':>8} {unit}")
    write_results("encoding", cases)


class PlainEncoder:
    """Encodes as `SentenceTransformer.encode` does by default."""

    def __init__(self, model: Path) -> None:
        self.model = SentenceTransformer(str(model), local_files_only=True)

    def encode_documents(self, texts: list[str]) -> np.ndarray:
        """Return (documents, dim) vectors."""
        return self.model.encode(texts)

    def encode_queries(self, texts: list[str], prompts: list[str | None]) -> np.ndarray:
        """Return (queries, dim) vectors; the texts measured have no prompts."""
        return self.model.encode(texts)


def _encode_cases(model: Path, name: str, texts: list[str]) -> list[dict[str, object]]:
    encoder, plain = Encoder.load(model, COMPUTE), PlainEncoder(model)
    in_float32 = Encoder(plain.model, encoder.encoding, COMPUTE)
    tokens = sum(map(len, encoder.tokenize_documents(texts)))
    peak = peak_rate(next(encoder._model.parameters()).dtype)
    theirs = _seconds(lambda: plain.encode_documents(texts))
    ours, float32 = (_seconds(lambda e=e: e.encode_documents(texts)) for e in (encoder, in_float32))
    share = _operations(encoder, texts) / ours / peak
    rate = {"more_is_better": True, "unit": "tokens/s"}
    return [
        versus(f"encode_vs_sentence_transformers {name}", tokens / ours, tokens / theirs, **rate),
        versus(f"encode_fp32_vs_sentence_transformers {name}", tokens / float32, tokens / theirs, **rate),
        case(f"encode {name} share of the rate of a {PEAK_SIZE}^3 product", share, "of 1"),
        case(f"encode {name} texts", len(texts) / ours, "1/s"),
    ]


def _quality_cases(model: Path, corpus: pd.DataFrame, test: Split) -> list[dict[str, object]]:
    ours, theirs = (
        mean_scores(evaluate(encoder, corpus, test, [10]))["ndcg_at_10"]
        for encoder in (Encoder.load(model, COMPUTE), PlainEncoder(model))
    )
    return [versus("quality python_docs ndcg_at_10", ours, theirs, "nDCG@10", more_is_better=True)]


def _cache_cases(model: Path, folder: Path, texts: list[str]) -> list[dict[str, object]]:
    """Time the cache; where encoding anew is the peer, it is our own without a cache."""
    without, plain = Encoder.load(model, COMPUTE), PlainEncoder(model)
    encoder = Encoder.load(model, COMPUTE.model_copy(update={"cache": Cache(folder=str(folder), max_gb=10.0)}))
    texts, added = texts[:-ADDED], texts[-ADDED:]
    anew, theirs = _seconds(lambda: without.encode_documents(texts)), _seconds(lambda: plain.encode_documents(texts))
    cold = _seconds(lambda: encoder.encode_documents(texts), runs=1)
    warm = _seconds(lambda: encoder.encode_documents(texts))
    ten = _seconds(lambda: encoder.encode_documents(texts + added), runs=1)
    many = [f"{number} {texts[number % len(texts)]}" for number in range(LOOKED_UP)]
    vectors = np.random.default_rng(0).standard_normal((LOOKED_UP, encoder._dim), dtype=np.float32)
    with encoder._open_cache("documents") as cache:
        start = time.perf_counter()
        cache.write(many, vectors)
        cache.store()
        stored = time.perf_counter() - start
    looked_up = _seconds(lambda: encoder.encode_documents(many))
    unit = f"s for {len(texts)} texts"
    return [
        versus("cache cold, beside none", cold, anew, unit),
        versus("cache warm, beside encoding", warm, anew, unit),
        versus("cache warm, beside sentence_transformers", warm, theirs, unit),
        versus(f"cache with {ADDED} texts added, beside encoding", ten, anew, unit),
        versus(f"cache lookup of {LOOKED_UP} texts, beside encoding", looked_up, anew / len(texts) * LOOKED_UP, "s"),
        case(f"cache storing {LOOKED_UP} vectors", stored, "s"),
    ]


def peak_rate(dtype: torch.dtype) -> float:
    """Return the operations a second of products into memory made before, on the encoder's device, median of five."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    left, right, product = (torch.rand(PEAK_SIZE, PEAK_SIZE, device=device).to(dtype) for _ in range(3))
    seconds = []
    for _ in range(6):
        start = time.perf_counter()
        torch.mm(left, right, out=product)[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return 2 * PEAK_SIZE**3 / statistics.median(seconds[1:])


def _operations(encoder: Encoder, texts: list[str]) -> float:
    """Return the operations of the transformer's matrix products on the texts' own tokens, padding not counted."""
    config = encoder._model[0].auto_model.config
    hidden, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    lengths = np.array([len(ids) for ids in encoder.tokenize_documents(texts)], dtype=np.float64)
    weights = 4 * hidden**2 + 2 * hidden * inner  # query, key, value and output; feed-forward
    return float(layers * (2 * weights * lengths + 4 * hidden * lengths**2).sum())


def _seconds(run: Callable[[], object], runs: int = RUNS) -> float:
    found: list[float] = []
    while len(found) < runs and sum(found) < ENOUGH_S:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    return statistics.median(found)


def _model(folder: Path) -> Path:
    lengths = {"query_max_length": MAX_LENGTH, "document_max_length": MAX_LENGTH}
    fetching.fetch(Fetch.parse("fetch.minilm", read_value("fetch.minilm") | lengths), folder / "minilm", where="minilm")
    return folder / "minilm"


def _science(folder: Path) -> tuple[pd.DataFrame, Split]:
    params = converting.read_params("convert.science")
    converting.convert(params, Path(params.raw), folder / "science", seed=read_value("seed"), where="convert.science")
    return read_corpus(folder / "science"), read_split(folder / "science", "test")


def _shared_samples() -> dict[str, list[str]]:
    nfcorpus = SHARED / "nfcorpus/test/raw/d-collection.docs"
    eedi = SHARED / "eedi/raw_data/misconception_mapping.csv"
    samples = {}
    if nfcorpus.is_file():
        lines = nfcorpus.read_text(encoding="utf-8").split("\n")
        samples["nfcorpus"] = [line.split("\t", 1)[1] for line in lines if "\t" in line][:SAMPLE]
    if eedi.is_file():
        samples["eedi"] = pd.read_csv(eedi)["MisconceptionName"].tolist()
    return samples


if __name__ == "__main__":
    main()
