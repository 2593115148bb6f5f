"""Format `documents`: a folder of .txt, .md, .html and .jsonl files as a corpus of chunks, without queries.

Text and Markdown are cut at headings, HTML at h1 to h6, every section into runs of words with an overlap. A chunk's
title is the path of its headings. Its id is `<file>#<start>-<end>`: characters in the file as it is decoded; for a
line of .jsonl (`id` or none, `title` or none, `text`) `<file>:<line>#<start>-<end>`, characters in that text.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, NonNegativeInt, PositiveInt

from retune.errors import InputError
from retune.params.convert import Convert
from retune.reading import existing_file, files_in, read_json_lines, text_in
from retune.source import Document, Dropped, Record

SUFFIXES = (".txt", ".md", ".html", ".htm", ".jsonl")
MARKDOWN_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)  # `# x` inside is code
HIDDEN = {"script", "style", "template", "noscript", "head"}


class Params(Convert):
    """Adds the size of a chunk."""

    chunk_words: PositiveInt
    overlap_words: NonNegativeInt  # that a chunk repeats from the one before, within a section
    min_words: Annotated[int, Field(ge=1)]  # shorter chunks are left out

    def model_post_init(self, context: object) -> None:
        """Check that chunks advance."""
        if self.overlap_words >= self.chunk_words:
            raise ValueError(f"overlap_words: expected less than chunk_words, got {self.overlap_words}")


class Piece(NamedTuple):
    """Text without markup, and where it stands in its file."""

    text: str
    start: int


class Section(NamedTuple):
    """What stands under one heading."""

    title: str | None
    pieces: list[Piece]


def read(raw: Path, params: Params) -> Iterator[Record]:
    """Yield the chunks of every file below `raw`, in the order of their paths."""
    files = files_in(raw, *SUFFIXES)
    if not files:
        raise InputError(f"{raw}: expected files named {', '.join('*' + suffix for suffix in SUFFIXES)}, found none")
    for path in files:
        name = path.name if path == raw else path.relative_to(raw).as_posix()
        if path.suffix == ".jsonl":
            for where, row in read_json_lines(path):
                text = text_in(row, "text", where)
                source = f"{name}:{where.rpartition(':')[2]}"
                yield from _chunks(Section(row.get("title"), [Piece(text, 0)]), source, params)
        else:
            for section in _sections(path):
                yield from _chunks(section, name, params)


def _sections(path: Path) -> list[Section]:
    text = _decode(existing_file(path))
    match path.suffix:
        case ".md":
            return _markdown_sections(text)
        case ".txt":
            return [Section(None, [Piece(text, 0)])]
        case _:
            page = _Page(text)
            page.feed(text)
            page.close()
            return page.sections


def _decode(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"{path}:{line}: expected UTF-8, got {error.reason}; save it as UTF-8") from None


def _markdown_sections(text: str) -> list[Section]:
    fences = [match.span() for match in FENCE.finditer(text)]
    headings = [
        match
        for match in MARKDOWN_HEADING.finditer(text)
        if not any(start <= match.start() < end for start, end in fences)
    ]
    starts = [0, *(match.end() for match in headings)]
    ends = [*(match.start() for match in headings), len(text)]
    path: list[tuple[int, str]] = []
    titles: list[str | None] = [None]
    for match in headings:
        titles.append(_title(path, len(match[1]), match[2]))
    return [
        Section(title, [Piece(text[start:end], start)]) for title, start, end in zip(titles, starts, ends, strict=True)
    ]


def _title(path: list[tuple[int, str]], level: int, heading: str) -> str:
    """Replace what stands at the heading's level and below, and return the whole path."""
    path[:] = [*((depth, text) for depth, text in path if depth < level), (level, heading)]
    return " > ".join(text for _, text in path)


class _Page(HTMLParser):
    """Collects the visible text of an HTML page, section by section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.sections = [Section(None, [])]
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._path: list[tuple[int, str]] = []
        self._hidden = 0
        self._heading: tuple[int, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what hides text, and headings."""
        self._hidden += tag in HIDDEN
        if re.fullmatch("h[1-6]", tag):
            self._heading = (int(tag[1]), [])

    def handle_endtag(self, tag: str) -> None:
        """Begin a section where a heading ends."""
        self._hidden = max(0, self._hidden - (tag in HIDDEN))
        if self._heading and re.fullmatch("h[1-6]", tag):
            level, words = self._heading
            self.sections.append(Section(_title(self._path, level, " ".join(" ".join(words).split())), []))
            self._heading = None

    def handle_data(self, data: str) -> None:
        """Collect visible text."""
        if self._hidden or not data.strip():
            return
        line, column = self.getpos()
        if self._heading:
            self._heading[1].append(data)
        else:
            self.sections[-1].pieces.append(Piece(data, self._lines[line - 1] + column))


def _chunks(section: Section, source: str, params: Params) -> Iterator[Record]:
    """Cut a section into runs of words; line ends inside one piece stay as they are."""
    words = [
        (match.start() + piece.start, match.end() + piece.start, number)
        for number, piece in enumerate(section.pieces)
        for match in re.finditer(r"\S+", piece.text)
    ]
    step = params.chunk_words - params.overlap_words
    for first in range(0, max(1, len(words) - params.overlap_words), step):
        run = words[first : first + params.chunk_words]
        if len(run) < params.min_words:
            yield Dropped("chunk below min_words", int(bool(run)))
            continue
        start, end = run[0][0], run[-1][1]
        parts = (_slice(section.pieces[number], start, end) for number in range(run[0][2], run[-1][2] + 1))
        yield Document(f"{source}#{start}-{end}", section.title, " ".join(parts), f"{source}#{start}")


def _slice(piece: Piece, start: int, end: int) -> str:
    return piece.text[max(0, start - piece.start) : max(0, end - piece.start)].strip()
