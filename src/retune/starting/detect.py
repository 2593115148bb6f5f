"""Say which format a user's data is in, and why."""

from collections.abc import Iterable
from pathlib import Path

from retune.core.errors import InputError
from retune.starting import columns, documents, layouts, rows
from retune.starting.found import BY_HAND, Found
from retune.starting.source import Source

MARKED_UP = (".markdown", ".mdx", ".rst", ".adoc", ".org", ".tex")
CONVERTIBLE = (".pdf", ".docx", ".doc", ".odt", ".pptx", ".epub", ".rtf")


def detect(source: Source) -> Found:
    """Return the format of the data.

    The names of files decide where only one format has such a layout; otherwise the keys of the first rows do.

    Raises:
        InputError: The data fits no format or several; the line names the candidates.
    """
    if found := layouts.detect(source):
        return found
    tables = rows.tables(source)
    texts = _documents(source, tables)
    if tables and texts:
        raise InputError(
            f"{source.path}: expected data of one format, found rows with queries ({_some(tables)}: format "
            f"{next(iter(tables.values())).format}) and texts ({_some(texts)}: format documents); put one of them into "
            f"another folder, or {BY_HAND}"
        )
    if tables:
        return rows.detect(source, tables)
    if texts:
        return documents.detect(source, texts)
    raise InputError(f"{source.path}: {_unknown(source)}")


def _documents(source: Source, tables: dict[str, Found]) -> dict[str, Path]:
    """Return the files of documents, unless they are notes about other data, or belong to the rows of a table."""
    texts = {name: file for name, file in documents.texts(source).items() if name not in tables}
    if any(found.format == "flagembedding" for found in tables.values()):
        texts.pop("corpus.jsonl", None)  # more documents for its queries
    has_others = source.is_folder and len(source.files) > len(texts)
    return {} if has_others and documents.only_notes(texts) else texts


def _unknown(source: Source) -> str:
    """Return what was expected instead of data of no known format."""
    if found := list(rows.unknown(source)):
        return f"expected columns called {columns.NAMES}, found {found[0]:.200}; rename them, or {BY_HAND}"
    if others := source.ending(*CONVERTIBLE):
        return (
            f"expected text, found {_some(others)}; convert to Markdown first, for example with pymupdf4llm or "
            "docling, and start with the folder of .md files"
        )
    if others := source.ending(*MARKED_UP):
        return (
            f"expected text in files called .md, .txt or .html, found {_some(others)}; rename .markdown and .mdx to "
            ".md, and convert others to Markdown, for example with pandoc"
        )
    return f"expected one of the formats on docs/convert.md, found {_some(source.files)}; {BY_HAND}"


def _some(found: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    names = list(found)
    first = ", ".join(names[:3])
    return f"{first} and {len(names) - 3} more" if len(names) > 3 else first
