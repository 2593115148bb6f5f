"""Formats that the names of files in a folder give away."""

import re
from collections.abc import Callable, Iterable

from retune.core.errors import InputError
from retune.core.records import SPLITS
from retune.reading.headers import matches
from retune.reading.lines import read_lines
from retune.reading.raw_files import SPLIT_NAMES, split_named
from retune.reading.tables import read_csv
from retune.starting.found import BY_HAND, Found
from retune.starting.source import Source

DOCUMENT_WORDS = {"collection", "corpus", "doc", "docs", "document", "documents", "passage", "passages"}
JUDGMENT_FOLDERS = ("qrels", "default", "data")
ROWS = (".jsonl", ".parquet")


def detect(source: Source) -> Found | None:
    """Return the format whose layout a folder has; None if it has none of these layouts."""
    if not source.is_folder:
        return None
    for layout in LAYOUTS:
        if found := layout(source):
            return found
    return None


def _beir(source: Source) -> Found | None:
    """BEIR: corpus.jsonl, queries.jsonl and qrels/{split}.tsv."""
    qrels = [name for name in source.names if re.fullmatch(rf"qrels/({'|'.join(SPLIT_NAMES)})\.tsv", name.lower())]
    if not qrels or not {"corpus.jsonl", "queries.jsonl"} <= source.names.keys():
        return None
    return Found("beir", _it_has("corpus.jsonl", "queries.jsonl", *qrels))


def _evaluation(source: Source) -> Found | None:
    """FlagEmbedding's custom evaluation data: corpus.jsonl, {split}_queries.jsonl and {split}_qrels.jsonl."""
    qrels = [name for name in source.names if re.fullmatch(r"[^/]+_qrels\.jsonl", name)]
    if "corpus.jsonl" not in source.names or not qrels:
        return None
    reason = _it_has("corpus.jsonl", qrels[0].replace("_qrels", "_queries"), *qrels)
    return Found("flagembedding", f"{reason} (if it is a set of AIR-Bench itself, write format: air_bench)")


def _mteb(source: Source) -> Found | None:
    """MTEB: corpus, queries and judgments as Parquet or JSON lines; a subset's name may come before -corpus."""
    names = source.ending(*ROWS)
    tops = {re.sub(r"\.(jsonl|parquet)$", "", name.partition("/")[0]) for name in names}
    subsets = [top.removesuffix("-corpus") for top in tops if top.endswith("-corpus")]
    if len(subsets) > 1:
        raise InputError(
            f"{source.path}: expected one subset, found {', '.join(sorted(subsets))}, whose format is mteb; {BY_HAND}"
        )
    prefix = f"{subsets[0]}-" if subsets else ""
    queries = sorted(tops & {f"{prefix}queries", *([] if prefix else ["query"])})
    judged = [top for top in tops if top in {f"{prefix}{name}" for name in JUDGMENT_FOLDERS}]
    judged += [] if prefix else [top for top in tops if re.fullmatch(r"(train|dev|validation|test)-.*", top)]
    if f"{prefix}corpus" not in tops or not queries or not judged:
        return None
    subset = {"subset": subsets[0]} if subsets else {}
    return Found("mteb", _it_has(f"{prefix}corpus", queries[0], min(judged)), {"nano_beir": False} | subset)


def _eedi(source: Source) -> Found | None:
    """Eedi's competition files. Kaggle's test.csv has no labels, so the test questions are drawn from train.csv."""
    if not {"misconception_mapping.csv", "train.csv"} <= source.names.keys():
        return None
    test = source.names.get("test.csv")
    first = next(read_csv(test), None) if test else None
    rule = "files" if first and "MisconceptionAId" in first[1] else "cross_validation"
    return Found(
        "eedi",
        _it_has("misconception_mapping.csv", "train.csv"),
        {"rule": rule},
        {"test": "given", "split_by": "group"},
    )


def _intel(source: Source) -> Found | None:
    """The example of intel-extension-for-transformers; the augmented file has the same queries with negatives."""
    files = [name for name in ("augmented_example.jsonl", "example.jsonl") if name in source.names]
    if "candidate_context.jsonl" not in source.names or not files:
        return None
    return Found("intel", _it_has("candidate_context.jsonl", files[0]), {"file": files[0]})


def _t2_ranking(source: Source) -> Found | None:
    """T2Ranking: collection.tsv with a header, queries.{split}.tsv, and judgments."""
    names = source.names
    kinds = [kind for kind in ("qrels.retrieval", "qrels") if {f"{kind}.train.tsv", f"{kind}.dev.tsv"} & names.keys()]
    if "collection.tsv" not in names or not kinds or not {"queries.train.tsv", "queries.dev.tsv"} & names.keys():
        return None
    _, header = next(read_lines(names["collection.tsv"]), (0, ""))
    if not matches(header.split("\t"), ["document id", "text"]):
        return None  # MS MARCO's files have the same names, and no header
    return Found(
        "t2_ranking", _it_has("collection.tsv", "queries.{split}.tsv", f"{kinds[0]}.{{split}}.tsv"),
        {"graded": kinds[0] == "qrels"},
    )  # fmt: skip


def _trec(source: Source) -> Found | None:
    """TREC or MS MARCO: files of documents, queries and qrels, whose names say what they are and of which split."""
    plain = [name for name in source.names if not name.lower().endswith((".json", ".parquet", ".md"))]
    qrels = [name for name in plain if "qrel" in name.lower()]
    queries = [name for name in plain if re.search("quer|topic", name.lower()) and name not in qrels]
    documents = [name for name in plain if name not in qrels + queries and _words(name) & DOCUMENT_WORDS]
    if not (qrels and queries and documents):
        return None
    splits = {}
    for split in SPLITS:
        judged = [name for name in qrels if split_in(name) == split]
        asked = [name for name in queries if split_in(name) == split] or [n for n in queries if not split_in(n)]
        if not judged:
            continue
        if len(judged) != 1 or len(asked) != 1:
            raise InputError(
                f"{source.path}: expected one file of queries and one of qrels for each split of format trec, found "
                f"{', '.join(asked + judged) or 'none'} for {split}; {BY_HAND}"
            )
        splits[split] = {"queries": asked[0], "qrels": judged[0]}
    if not splits:
        return None
    return Found(
        "trec", _it_has(*documents, *(name for files in splits.values() for name in files.values())),
        {"documents": documents, "splits": splits},
    )  # fmt: skip


def _incomplete(source: Source) -> Found | None:
    """Refuse parts of a layout: without the other files, a reader would take queries for documents."""
    judged = any(re.search(r"qrel(?!.*\.(md|html?)$)", name.lower()) for name in source.names)
    if judged or {"corpus.jsonl", "queries.jsonl"} <= source.names.keys():
        raise InputError(
            f"{source.path}: expected documents, queries and judgments, as in formats beir, mteb and trec, found "
            f"{join(list(source.files)[:5])}; add what is missing, or {BY_HAND}"
        )
    return None


def _words(name: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", name.lower()))


def split_in(name: str) -> str | None:
    """Return the split that is a word of a file's path; None if none or several are."""
    found = {split for word in _words(name) if (split := split_named(word))}
    return found.pop() if len(found) == 1 else None


def _it_has(*names: str) -> str:
    return f"it has {join(dict.fromkeys(names))}"


def join(names: Iterable[str]) -> str:
    """Return names as they stand in a sentence."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


LAYOUTS: list[Callable[[Source], Found | None]] = [
    _beir, _evaluation, _mteb, _eedi, _intel, _t2_ranking, _trec, _incomplete
]  # fmt: skip
