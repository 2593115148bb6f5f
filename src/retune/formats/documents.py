"""Format `documents`: a folder of .txt, .md, .html and .jsonl files, split into chunks as a corpus without queries.

Markdown and HTML (h1 to h6) are split at headings, and every section into chunks of words that overlap. A chunk's
title is the path of its headings. Its id is `<file>#<start>-<end>`, character positions in the decoded file. Each line
of a .jsonl file has a `text` and may have an `id` and a `title`; its chunks have ids `<id>#<start>-<end>`, or
`<file>:<line>#<start>-<end>` without an id, with positions in that text.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from retune.core.errors import InputError
from retune.params.convert import Convert
from retune.reading.headings import TextSection, html_sections, markdown_sections, plain_section
from retune.reading.lines import errors_by_line, read_json_lines
from retune.reading.source_records import Document, Dropped, Record
from retune.reading.values import columns_in, id_in, optional_text_in

SUFFIXES = (".txt", ".md", ".html", ".htm", ".jsonl", ".jsonl.gz")


class Params(Convert):
    """The size and overlap of chunks."""

    chunk_words: PositiveInt
    overlap_words: NonNegativeInt  # words that a chunk repeats from the previous one of its section
    min_words: Annotated[int, Field(ge=1)]  # shorter chunks are left out

    def model_post_init(self, context: object) -> None:
        """Check that each chunk begins after the previous one."""
        if self.overlap_words >= self.chunk_words:
            raise ValueError(
                f"overlap_words: expected less than chunk_words ({self.chunk_words}), got {self.overlap_words}"
            )


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the chunks of every file below `raw`, ordered by path."""
    files = {raw.name: raw} if raw.is_file() else {path.relative_to(raw).as_posix(): path for path in _below(raw)}
    left_out = {name: reason for name, path in files.items() if (reason := _reason_to_leave_out(name, path))}
    if len(left_out) == len(files):
        raise InputError(f"{raw}: expected files named {', '.join('*' + suffix for suffix in SUFFIXES)}, found none")
    yield from map(Dropped, left_out.values())
    ids: set[str] = set()
    for name in [name for name in files if name not in left_out]:
        has_words = False
        for section, source, where in _sections(files[name], name, ids):
            for record in _chunks(section, source, where, params):
                has_words = True
                yield record
            if not any(block.text.strip() for block in section.blocks) and _is_json_lines(name):
                has_words = True
                yield Document(f"{source}#0-0", None, "", where)  # a record without text is counted as unusable
        if not has_words:
            yield Dropped("file without text")


def _below(folder: Path) -> list[Path]:
    """Return the files and links at any depth."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _reason_to_leave_out(name: str, path: Path) -> str:
    if any(part.startswith(".") for part in name.split("/")):
        return "hidden file"
    if not path.is_file():
        return "link to a folder or to nothing"
    return "" if name.lower().endswith(SUFFIXES) else "file of another kind"


def _is_json_lines(name: str) -> bool:
    return name.lower().removesuffix(".gz").endswith(".jsonl")


def _sections(path: Path, name: str, ids: set[str]) -> Iterator[tuple[TextSection, str, str]]:
    """Yield each section of a file, the beginning of its chunks' ids, and its place for messages."""
    kind = name.lower().rpartition(".")[2]
    if not path.stat().st_size:
        return
    if _is_json_lines(name):
        yield from _json_lines_sections(path, name, ids)
        return
    with errors_by_line(path, lambda: 1):
        text = path.read_bytes().decode("utf-8-sig")
    if kind == "txt":
        sections = [plain_section(None, text)]
    else:
        sections = markdown_sections(text) if kind == "md" else html_sections(text)
    yield from ((section, name, str(path)) for section in sections)


def _json_lines_sections(path: Path, name: str, ids: set[str]) -> Iterator[tuple[TextSection, str, str]]:
    for where, row in read_json_lines(path):
        source = f"{name}:{where.rpartition(':')[2]}"
        if row.get("id") is not None:
            source = id_in(row, "id", where)
            if source in ids:
                raise InputError(f"{where}: id: expected each id once, got {source!r:.80} again")
            ids.add(source)
        columns_in(row, ["text"], where)
        title, text = optional_text_in(row, "title", where) or "", optional_text_in(row, "text", where) or ""
        title, text = (title.strip() and title, text) if text.strip() else ("", title)
        yield plain_section(title or None, text), source, where


def _chunks(section: TextSection, source: str, where: str, params: Params) -> Iterator[Record]:
    """Split a section into chunks of words; white space inside a block is kept."""
    words = [
        (number, *match.span())
        for number, block in enumerate(section.blocks)
        for match in re.finditer(r"\S+", block.text)
    ]
    step = params.chunk_words - params.overlap_words
    for begin in range(0, max(1, len(words) - params.overlap_words) if words else 0, step):
        chunk = words[begin : begin + params.chunk_words]
        if len(chunk) < params.min_words:
            yield Dropped("chunk below min_words")
            continue
        (first, start, _), (last, _, end) = chunk[0], chunk[-1]
        blocks = section.blocks[first : last + 1]
        texts = [block.text for block in blocks]
        texts[-1] = texts[-1][:end]
        texts[0] = texts[0][start:]
        place = f"{blocks[0].place(start, start + 1)[0]}-{blocks[-1].place(end - 1, end)[1]}"
        yield Document(f"{source}#{place}", section.title, " ".join(map(str.strip, texts)), where)
