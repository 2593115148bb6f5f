"""Write a data set or a mined set in a layout that other tools read.

Each layout is a module: its `LACKS` names what the layout has no place for, and its `write` fills a folder and returns
the numbers of other things left out. The format of the same name reads the layout back.
"""

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from retune import layouts
from retune.core.errors import InputError
from retune.core.files import atomic_directory
from retune.core.records import SPLITS, Dataset, Mined, Split, empty_split, read_corpus, read_mined, read_split
from retune.layouts.contents import ANSWERS, GRADES, PROMPTS, SCORES, TITLES, UNANSWERED, texts_or_none

LOG = logging.getLogger(__name__)
SHARED = {"export", "contents"}  # modules of the package that are not layouts


def names() -> list[str]:
    """Return the names of all layouts."""
    return sorted({module.name for module in pkgutil.iter_modules(layouts.__path__)} - SHARED)


def export(name: str, folder: Path, out: Path) -> None:
    """Write the data set or mined set in `folder` to the new folder `out`, in the named layout.

    The documents of a mined set become the corpus, and its queries become train queries; positives have relevance 1,
    mined negatives relevance 0.

    Raises:
        InputError: The layout is unknown, `folder` contains neither kind of set, or `out` is not empty or cannot be
            written.
    """
    if name not in names():
        raise InputError(f"layout: expected one of {', '.join(names())}, got {name!r}")
    layout = importlib.import_module(f"retune.layouts.{name}")
    with errors_of_writing(out):
        check_new(out)
    dataset = _read(folder)
    counts = _count(dataset)
    with errors_of_writing(out), atomic_directory(out) as partial:
        left_out = layout.write(dataset, partial)
    for kind, count in ({kind: counts[kind] for kind in layout.LACKS} | left_out).items():
        if count:
            LOG.info("%s has no place for %s: %d", name, kind, count)


def check_new(out: Path) -> None:
    """Check that a folder is absent or empty.

    Raises:
        InputError: It is not.
    """
    if not out.name:
        raise InputError(f"{out}: expected the name of a new folder, got none; name one")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: expected a new or empty folder, got one with content; remove it or name another")


@contextmanager
def errors_of_writing(out: Path) -> Iterator[None]:
    """Turn system errors of writing to a folder into an InputError."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{out}: expected a folder that can be written, got: {error.strerror or error}") from None


def _read(folder: Path) -> Dataset:
    if (folder / "corpus.parquet").is_file():
        dataset = Dataset(read_corpus(folder), {name: read_split(folder, name) for name in SPLITS})
    elif (folder / "examples.parquet").is_file():
        dataset = _from_mined(read_mined(folder))
    else:
        raise InputError(
            f"{folder}: expected corpus.parquet (a converted set) or examples.parquet (a mined set), found neither; "
            "run the stage that writes it"
        )
    _check(dataset, folder)
    return dataset


def _check(dataset: Dataset, folder: Path) -> None:
    """Refuse what layouts cannot represent: two queries with one id, and scores that are not numbers in JSON."""
    query_ids = pd.concat([split.queries["query_id"] for split in dataset.splits.values()])
    if query_ids.duplicated().any():
        first = query_ids[query_ids.duplicated()].iloc[0]
        raise InputError(f"{folder}: expected each query_id once in all splits, got {first!r} twice; rename one")
    for split in dataset.splits.values():
        if split.scores is not None and not np.isfinite(split.scores["score"].astype(float)).all():
            raise InputError(f"{folder}: expected finite scores, got infinite or missing ones; fix the source data")


def _from_mined(mined: Mined) -> Dataset:
    """Return a data set whose judgments are the examples; their `source` is left out."""
    qrels, scores = [], []
    examples = mined.examples
    for relevance, role in ((1, "positive"), (0, "negative")):
        columns = (examples[name].tolist() for name in ("query_id", f"{role}_ids", f"{role}_scores"))
        for query_id, doc_ids, values in zip(*columns, strict=True):
            qrels += [(query_id, doc_id, relevance) for doc_id in doc_ids]
            pairs = zip(doc_ids, values, strict=True)
            # through str, which gives the shortest decimal number for the same float32
            scores += [(query_id, doc_id, float(str(value))) for doc_id, value in pairs]
    LOG.info("no layout has a place for the source of mined examples: %d", len(mined.examples))
    if mined.weights is not None:
        LOG.info("no layout has a place for the weights of sources: %d", len(mined.weights))
    train = Split(
        mined.queries,
        pd.DataFrame(qrels, columns=["query_id", "doc_id", "relevance"]),
        pd.DataFrame(scores, columns=["query_id", "doc_id", "score"]),
    )
    return Dataset(mined.documents, {"train": train, "dev": empty_split(), "test": empty_split()})


def _count(dataset: Dataset) -> dict[str, int]:
    """Count what some layouts have no place for, by kind."""
    splits = dataset.splits.values()
    return {
        TITLES: sum(map(bool, texts_or_none(dataset.corpus["title"]))),
        PROMPTS: sum(bool(prompt) for split in splits for prompt in texts_or_none(split.queries["prompt"])),
        ANSWERS: sum(bool(answer) for split in splits for answer in texts_or_none(split.queries["answer"])),
        GRADES: sum(int((split.qrels["relevance"] > 1).sum()) for split in splits),
        SCORES: sum(0 if split.scores is None else len(split.scores) for split in splits),
        UNANSWERED: sum(
            len(split.queries) - split.qrels.loc[split.qrels["relevance"] > 0, "query_id"].nunique() for split in splits
        ),
    }
