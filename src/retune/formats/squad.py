"""Format `squad`: SQuAD 1.1 and 2.0, and other data sets in their layout.

`raw` is a JSON file, or a folder with one per split (train-v2.0.json, dev-v2.0.json). A paragraph's `context` is a
document, its `qas` are queries, and the text of the first answer is the reference answer. All questions on an article
form one group: use `split_by: group`, or paragraphs of one article end up in several splits. Questions that the text
does not answer (`is_impossible`) have no relevant document and are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.lines import read_json
from retune.reading.raw_files import num_unread, split_files
from retune.reading.source_records import Document, Dropped, Judgment, Query, Record, text_id
from retune.reading.values import columns_in, optional_text_in


class Params(Convert):
    """The parameters that all formats share."""


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the records of the file or folder `raw`.

    Document ids are derived from the text, because titles of articles may repeat and are missing in some copies.
    """
    files = split_files(raw, ".json")
    yield Dropped("file not called after a split", num_unread(raw, (path for _, path in files), ".json"))
    for split, path in files:
        content = read_json(path)
        for article_place, article in _objects(content, "data", str(path)):
            group = optional_text_in(article, "title", article_place) or article_place
            for place, paragraph in _objects(article, "paragraphs", article_place):
                columns_in(paragraph, ["context"], place)
                doc_id = text_id(paragraph["context"])
                yield Document(doc_id, None, paragraph["context"], place)
                for where, question in _objects(paragraph, "qas", place):
                    yield from _question(question, doc_id, split, group, where)


def _question(question: dict[str, Any], doc_id: str, split: str, group: str, where: str) -> Iterator[Record]:
    is_impossible = question.get("is_impossible")
    if is_impossible is None:  # some copies omit the flag
        is_impossible = question.get("answers") == []
    if not isinstance(is_impossible, bool):
        raise InputError(f"{where}: is_impossible: expected true or false, got {is_impossible!r:.80}")
    if is_impossible:
        yield Dropped("impossible question")
        return
    columns_in(question, ["id", "question"], where)
    answers = (
        [answer.get("text") for _, answer in _objects(question, "answers", where)] if "answers" in question else []
    )
    yield Query(question["id"], question["question"], where, split, None, answers[0] if answers else None, group)
    yield Judgment(question["id"], doc_id, 1, where)


def _objects(owner: Any, key: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place and content of each object in the list at a key."""
    items = owner.get(key) if isinstance(owner, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(f"{where}: expected a list of objects at {key!r}, got {items!r:.80}")
    for number, item in enumerate(items):
        yield f"{where}: {key}.{number}" if key == "data" else f"{where}.{key}.{number}", item
