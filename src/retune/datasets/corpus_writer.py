"""Write and measure a corpus while it is read: each text once, with at most one batch of rows in memory."""

import hashlib
from array import array
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from retune.core.errors import InputError
from retune.core.records import CORPUS, PARQUET
from retune.reading.source_records import Document

BATCH_ROWS = 10_000
BATCH_CHARACTERS = 20_000_000
SAMPLE = 400  # most texts kept for guessing the language
SAMPLE_CHARACTERS = 2000  # of each of them


class CorpusWriter:
    """Writes documents to one Parquet file; of documents with equal title and text, only the first.

    Attributes:
        words: Number of words of each written document, split at white space.
        characters: Number of characters of each written document.
        sample: The beginnings of some texts, evenly spaced.
        dropped: Number of documents left out, by reason.
    """

    def __init__(self, path: Path) -> None:
        self.words, self.characters = array("L"), array("L")
        self.sample: list[str] = []
        self.dropped: Counter[str] = Counter()
        self._content: dict[str, bytes] = {}  # digest by doc_id
        self._kept: dict[bytes, str] = {}  # the doc_id that is kept, by digest
        self._bare: dict[str, bytes] = {}  # digest of the text without title, by doc_id, of documents with a title
        self._sample_step = 1
        self._batch: list[Document] = []
        self._batch_characters = 0
        self._writer = pq.ParquetWriter(path, CORPUS, **PARQUET)

    def __len__(self) -> int:
        """Return the number of written documents."""
        return len(self._kept)

    def add(self, document: Document) -> None:
        """Write a document unless one with equal title and text is already written.

        Raises:
            InputError: Its id already has another title or text.
        """
        content = content_of(document.text, document.title)
        if (known := self._content.setdefault(document.doc_id, content)) != content:
            raise InputError(
                f"{document.where}: doc_id {document.doc_id!r}: expected one text, got another than before; "
                "give the texts different ids"
            )
        if document.title:
            self._bare[document.doc_id] = content_of(document.text, None)
        if known is not content:
            self.dropped["document given again"] += 1
        elif self._kept.setdefault(content, document.doc_id) != document.doc_id:
            self.dropped["equal text"] += 1
        else:
            self._append(document)

    def kept_id(self, doc_id: str) -> str | None:
        """Return the id under which the document's text is kept; None if the document is unknown."""
        content = self._content.get(doc_id)
        return None if content is None else self._kept[content]

    def bare_content(self, doc_id: str) -> bytes | None:
        """Return the digest of the document's text without its title; None if the document is unknown."""
        return self._bare.get(doc_id, self._content.get(doc_id))

    def close(self) -> None:
        """Write the remaining rows and finish the file."""
        self._flush()
        self._writer.close()

    def _append(self, document: Document) -> None:
        if len(self.words) % self._sample_step == 0:
            self.sample.append(document.text[:SAMPLE_CHARACTERS])
        if len(self.sample) == SAMPLE:
            self.sample, self._sample_step = self.sample[::2], self._sample_step * 2
        self.words.append(len(document.text.split()))
        self.characters.append(len(document.text))
        self._batch.append(document)
        self._batch_characters += len(document.text)
        if len(self._batch) == BATCH_ROWS or self._batch_characters > BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if not self._batch:
            return
        rows = [(document.doc_id, document.title or None, document.text) for document in self._batch]
        columns = dict(zip(CORPUS.names, zip(*rows, strict=True), strict=True))
        self._writer.write_table(pa.table(columns, schema=CORPUS))
        self._batch, self._batch_characters = [], 0


def content_of(text: str, title: str | None) -> bytes:
    """Return a digest of a document's title and text, 16 bytes."""
    return hashlib.blake2b(f"{title or ''}\0{text}".encode(), digest_size=16).digest()
