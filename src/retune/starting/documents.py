"""Documents without queries: which files hold them, and how long their chunks should be."""

from itertools import islice
from pathlib import Path
from typing import Any

from retune.core.errors import InputError
from retune.reading.lines import read_json_lines
from retune.starting.found import Found
from retune.starting.source import Source

PLAIN = (".md", ".txt", ".html", ".htm")
NOTES = {"readme", "license", "licence", "notice", "changelog", "citation", "contributing", "requirements"}
MAX_FILES = 40  # of a folder, are looked into
TOKENS_PER_WORD = 1.6  # of 100 English words with markup, and the headings above them
LONG_WORD = 12  # mean characters between spaces; above, the script has no spaces between words
MIN_WORDS = 8  # of a chunk; shorter sections are headings or menus
READ_BYTES = 20_000  # of a file


def texts(source: Source) -> dict[str, Path]:
    """Return the files with documents: text, Markdown, HTML, and JSON lines with a text."""
    lines = islice(source.ending(".jsonl").items(), MAX_FILES)
    return source.ending(*PLAIN) | {name: file for name, file in lines if _has_text(file)}


def only_notes(names: dict[str, Path]) -> bool:
    """Return whether all files are notes about data, such as README.md."""
    return all(Path(name).stem.lower() in NOTES for name in names)


def detect(source: Source, found: dict[str, Path]) -> Found:
    """Return the format of data that is documents alone."""
    suffixes = sorted({Path(name).suffix.lower() for name in found})
    others = [name for name in source.names if name not in found]
    kinds = ", ".join(sorted({Path(name).suffix.lower() or Path(name).name for name in others}))
    left_out = f" (other files, which are left out: {len(others)}, {kinds:.60})" if others else ""
    if not source.is_folder:
        return Found("documents", f"it is a text ({suffixes[0]}) without queries")
    files = f"{len(found)} files of text ({', '.join(suffixes)})" if len(found) > 1 else next(iter(found))
    return Found("documents", f"it has {files} and no queries{left_out}")


def chunking(source: Source, window: int) -> dict[str, Any]:
    """Return the size of chunks that fit a model's window of tokens.

    Words are what is between spaces. In a script without spaces they are as long as a sentence or a paragraph, so a
    chunk has few of them. The records of JSON lines are documents of their own, however short. Chunks do not overlap:
    a synthetic query would answer to two of them, and the splits would share texts.
    """
    found = texts(source)
    words = [word for name, file in islice(found.items(), MAX_FILES) for word in _start(name, file).split()]
    length = sum(map(len, words)) / max(1, len(words))
    if length > LONG_WORD:
        return {"chunk_words": max(1, int(window / length)), "overlap_words": 0, "min_words": 1}
    chunk = round(window / TOKENS_PER_WORD / 10) * 10
    least = MIN_WORDS if all(name.lower().endswith(PLAIN) for name in found) else 1
    return {"chunk_words": chunk, "overlap_words": 0, "min_words": least}


def _start(name: str, file: Path) -> str:
    """Return the beginning of a file's text."""
    if name.lower().endswith(PLAIN):
        with file.open("rb") as stream:
            return stream.read(READ_BYTES).decode(errors="replace")
    return " ".join(str(row.get("text")) for _, row in islice(read_json_lines(file), MAX_FILES))


def _has_text(file: Path) -> bool:
    """Return whether the lines of a file have a text."""
    try:
        row = next((row for _, row in read_json_lines(file)), {})
    except InputError:
        return False
    return isinstance(row.get("text"), str)
