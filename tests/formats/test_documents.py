"""Format `documents`: chunks by headings and words, with their place in the file."""

import html
import time
from pathlib import Path

import pytest

from retune.core.errors import InputError
from retune.datasets.convert import parse_params
from retune.formats.documents import read
from tests.support.conversion import Converted, convert_raw
from tests.support.parameters import CONVERT

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


SIZES = {"chunk_words": 100, "overlap_words": 0, "min_words": 1}


def chunked(raw: Path, out: Path, **values: int) -> Converted:
    return convert_raw(raw, out, "documents", **SIZES | values)


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


def test_inline_markup_stays_inside_a_word_and_only_blocks_and_line_breaks_part_words(tmp_path: Path) -> None:
    page = (
        "<h1>On un<i>like</i>ly<br>things</h1>un<b>believ</b>able H<sub>2</sub>O<!-- x -->!"
        "<div>one</div>two<br/>three<table><tr><td>a</td><td>b</td></tr></table><pre>x\n  y</pre>"
    )
    result = chunked(folder(tmp_path / "raw", page_html=page), tmp_path / "out")
    assert result.corpus["title"].tolist() == ["On unlikely things"]
    assert result.corpus["text"].tolist() == ["unbelievable H2O! one two three a b x\n  y"]


def test_id_of_html_says_characters_of_the_page_also_beside_character_references(tmp_path: Path) -> None:
    page = "<p>Fish &amp; &eacute;clairs &#169; &copy2 a&b &nbsp;caf&eacute; <![odd[x]>end &amp;</p>"
    result = chunked(folder(tmp_path / "raw", page_html=page), tmp_path / "out", chunk_words=1)
    assert list(result.texts().values()) == ["Fish", "&", "éclairs", "©", "©2", "a&b", "café", "end"]
    for doc_id, text in result.texts().items():
        start, end = map(int, doc_id.rpartition("#")[2].split("-"))
        assert html.unescape(page[start:end]) == text


@pytest.mark.parametrize(
    "page",
    [
        "<html><head><title>x</title><body><h1>T</h1><p>hello world text</p>",
        "<title>x</title><h1>T<p>hello world text",
        "<title>x</title><h2>T<h3></h3><p>hello world text</p></h2>",
    ],
)
def test_html_without_end_tags_keeps_its_text(page: str, tmp_path: Path) -> None:
    result = chunked(folder(tmp_path / "raw", page_html=page), tmp_path / "out")
    assert result.corpus[["title", "text"]].to_numpy().tolist() == [["T", "hello world text"]]


def test_markdown_with_windows_line_ends_and_closing_signs_has_clean_titles(tmp_path: Path) -> None:
    guide = "# C#\r\none\r\n## Install ##\r\ntwo\r\n~~~\r\n# code\r\n```\r\n# code\r\n~~~\r\n# Use\r\nthree"
    result = chunked(folder(tmp_path / "raw", guide_md=guide), tmp_path / "out")
    assert result.corpus["title"].tolist() == ["C#", "C# > Install", "Use"]


def test_fence_that_is_never_closed_holds_code_to_the_end(tmp_path: Path) -> None:
    result = chunked(folder(tmp_path / "raw", guide_md="# A\n````\n```\n# code\n"), tmp_path / "out")
    assert result.corpus["text"].tolist() == ["````\n```\n# code"]


def test_many_headings_and_fences_take_time_in_proportion(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", guide_md="# H\n```\n# code\n```\n" * 30_000)
    params = parse_params("convert.x", CONVERT | {"format": "documents"} | SIZES)
    start = time.monotonic()
    assert sum(1 for _ in read(raw, params)) == 30_000
    assert time.monotonic() - start < 20  # a second or two; every heading against every fence took minutes


def test_json_lines_are_documents_each(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_jsonl='{"text": "one two", "title": "First"}\n{"text": "three four"}\n')
    result = chunked(raw, tmp_path / "out")
    assert result.texts() == {"a.jsonl:1#0-7": "one two", "a.jsonl:2#0-10": "three four"}
    assert result.corpus["title"][0] == "First"


def test_id_of_a_json_line_names_its_chunks(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_jsonl='{"id": "faq/7", "text": "one two three"}\n{"id": null, "text": "four"}\n')
    result = chunked(raw, tmp_path / "out", chunk_words=2)
    assert result.texts() == {"faq/7#0-7": "one two", "faq/7#8-13": "three", "a.jsonl:2#0-4": "four"}


def test_ending_of_a_name_may_be_in_capitals(tmp_path: Path) -> None:
    page = "<h1>T</h1><p>hidden <script>x</script>words"
    raw = folder(tmp_path / "raw", a_TXT="one", b_HTML=page, c_JSONL='{"text": "two"}\n', d_Md="# M\nthree")
    assert list(chunked(raw, tmp_path / "out").texts().values()) == ["one", "hidden words", "two", "three"]


def test_what_gives_no_chunk_is_counted_by_reason(tmp_path: Path) -> None:
    raw = folder(tmp_path / "raw", a_txt="some words", b_txt="", c_md="\n \n", d_html="<img>", e_jsonl="", f_pdf="%PDF")
    (raw / ".hidden.txt").write_text("other words")
    (raw / "dangling.txt").symlink_to(raw / "nowhere")
    (raw / "link").symlink_to(tmp_path)
    result = chunked(raw, tmp_path / "out")
    assert list(result.texts().values()) == ["some words"]
    assert result.statistics["dropped"] == {
        "file without text": 4,
        "file of another kind": 1,
        "hidden file": 1,
        "link to a folder or to nothing": 2,
    }


def test_corpus_has_no_queries(tmp_path: Path) -> None:
    result = chunked(folder(tmp_path / "raw", a_txt="some words"), tmp_path / "out")
    assert result.counts() == {}
    assert len(result.corpus) == 1


@pytest.mark.parametrize(
    ("files", "values", "message"),
    [
        ({"a_csv": "x"}, {}, r"expected files named \*.txt, \*.md, .* found none"),
        (
            {"a_txt": "x"},
            {"chunk_words": 5, "overlap_words": 5},
            "overlap_words: expected less than chunk_words .5., got 5",
        ),
        ({"a_jsonl": '{"body": "x"}\n'}, {}, r"a.jsonl:1: expected text, got the columns body"),
        (
            {"a_jsonl": '{"id": false, "text": "x"}\n'},
            {},
            r"a.jsonl:1: id: expected an id as text or a whole number, got False",
        ),
        (
            {"a_jsonl": '{"id": "x", "text": "y"}\n', "b_jsonl": '{"id": "x", "text": "yes"}\n'},
            {},
            r"b.jsonl:1: id: expected each id once, got 'x' again",
        ),
        ({"a_txt": " \n"}, {}, "expected documents, got none"),
    ],
)
def test_wrong_input_is_refused(files: dict, values: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        chunked(folder(tmp_path / "raw", **files), tmp_path / "out", **values)
