"""Format `documents`: chunks by headings and words, with their place in the file."""

from pathlib import Path

import pytest
from conversion import Converted, convert_raw

from retune.errors import InputError

GUIDE = """Intro words before any heading stand alone.

# Install
Run the installer and follow what it says.

```
# not a heading, code
```

## On Linux
Use the package manager of your system.

# Use
Open the program.
"""


def chunked(raw: Path, out: Path, **values: int) -> Converted:
    sizes = {"chunk_words": 100, "overlap_words": 0, "min_words": 1}
    return convert_raw(raw, out, "documents", **sizes | values)


def folder(path: Path, **files: str) -> Path:
    path.mkdir()
    for name, text in files.items():
        file = path / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="")
    return path


def test_markdown_is_cut_at_headings_and_titles_hold_their_path(tmp_path: Path) -> None:
    result = chunked(folder(tmp_path / "raw", guide_md=GUIDE), tmp_path / "out")
    assert result.corpus["title"].fillna("none").tolist() == ["none", "Install", "Install > On Linux", "Use"]
    assert "# not a heading, code" in result.corpus["text"][1]


def test_id_says_file_and_characters_of_the_chunk(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", guide_md=GUIDE, sub__notes_txt="  Größe: one two three four five\nsix seven  ")
    result = chunked(raw, tmp_path / "out", chunk_words=3)
    for doc_id, text in result.texts().items():
        name, _, place = doc_id.rpartition("#")
        start, end = map(int, place.split("-"))
        assert (raw / name).read_text(encoding="utf-8")[start:end] == text
    assert sum(doc_id.startswith("sub/notes.txt#") for doc_id in result.texts()) == 3


def test_chunks_overlap_by_the_words_asked_for(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_txt=" ".join(str(n) for n in range(10)))
    # windows of 4 that advance by 3: 0-3, 3-6, 6-9; a fourth would only repeat the 9
    result = chunked(raw, tmp_path / "out", chunk_words=4, overlap_words=1)
    assert result.corpus["text"].tolist() == ["0 1 2 3", "3 4 5 6", "6 7 8 9"]


def test_short_chunks_are_dropped_and_counted(tmp_path: Path) -> None:
    result = chunked(folder(tmp_path / "raw", guide_md=GUIDE), tmp_path / "out", min_words=4)
    assert "Use" not in result.corpus["title"].tolist()
    assert result.statistics["dropped"] == {"chunk below min_words": 1}


def test_html_gives_its_visible_text_by_heading(tmp_path: Path) -> None:
    page = (
        "<html><head><title>T</title><style>p {}</style></head><body><p>Fish &amp; chips</p>\n"
        "<h1>Menu <b>today</b></h1><p>Soup of\n the day</p><script>hidden()</script><ul><li>Bread</li></ul></body></html>"
    )
    result = chunked(folder(tmp_path / "raw", page_html=page), tmp_path / "out")
    assert result.corpus["title"].fillna("none").tolist() == ["none", "Menu today"]
    assert result.corpus["text"].tolist() == ["Fish & chips", "Soup of\n the day Bread"]
    start = int(result.corpus["doc_id"][1].split("#")[1].split("-")[0])
    assert page[start:].startswith("Soup of")


def test_json_lines_are_documents_each(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_jsonl='{"text": "one two", "title": "First"}\n{"text": "three four"}\n')
    result = chunked(raw, tmp_path / "out")
    assert result.texts() == {"a.jsonl:1#0-7": "one two", "a.jsonl:2#0-10": "three four"}
    assert result.corpus["title"][0] == "First"


def test_corpus_has_no_queries_and_hidden_files_are_left_alone(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_txt="some words")
    (raw / ".hidden.txt").write_text("other words")
    result = chunked(raw, tmp_path / "out")
    assert result.counts() == {}
    assert len(result.corpus) == 1


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        ({"a_csv": "x"}, {}, r"expected files named \*.txt, \*.md, .* found none"),
        (
            {"a_txt": "x"},
            {"chunk_words": 5, "overlap_words": 5},
            "overlap_words: expected less than chunk_words, got 5",
        ),
        ({"a_jsonl": '{"body": "x"}\n'}, {}, r"a.jsonl:1: text: expected non-empty text, got None"),
        ({"a_txt": " \n"}, {}, "expected documents, got none"),
    ],
)
def test_wrong_input_is_refused(files: dict, values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        chunked(folder(tmp_path / "raw", **files), tmp_path / "out", **values)
