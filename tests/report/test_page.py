"""The page is one file that loads nothing, shows what there is, and lets no text of the data become markup."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from retune.report import charts, packed_changes, page
from retune.report.page import page_html
from tests.support import page_contents
from tests.support.page_contents import infect


class Elements(HTMLParser):
    """Collect a page's elements, and the text of its scripts as a browser would cut it."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_script = tag == "script"
        if self._in_script:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1] += data


@pytest.fixture(scope="module")
def rendered() -> str:
    return page_html(page_contents.sample())


def test_page_loads_nothing(rendered: str) -> None:
    for tag, attributes in Elements(rendered).tags:
        assert tag not in {"iframe", "img", "object", "embed", "base", "form"}
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|import\(", rendered)


def test_every_section_is_there_and_linked(rendered: str) -> None:
    tags = Elements(rendered).tags
    sections = [attributes["id"] for tag, attributes in tags if tag == "section"]
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert links == [f"#{name}" for name in sections]
    assert set(sections) == {
        "verdict", "matrix", "findings", "intervals", "frontier", "merges", "changes", "slices",
        "scores", "references", "pairs", "histories", "synthetic", "mining", "lengths",
    }  # fmt: skip
    assert "nothing to show" not in rendered


def test_verdict_shows_the_word_the_gate_and_the_rule_that_failed(rendered: str) -> None:
    text = " ".join(
        re.sub(r"<[^>]*>", " ", rendered[rendered.index('id="verdict"') : rendered.index('id="matrix"')]).split()
    )
    assert "2 of 3 tuned models pass the gate." in text
    assert "small_legal ✗ gate failed small, tuned for legal ▼ forgot gain at home +0.0621" in text
    assert "max_forgetting: expected at most 0.02, got 0.0312 on general" in text
    assert "small_both ✓ gate passed small, tuned for legal ○ no difference shown" in text
    assert text.count("mean change elsewhere −0.0114") == 3
    assert text.count("share of the best gain 33 %") == text.count("share of the best gain") == 1


def test_findings_show_fact_meaning_and_advice(rendered: str) -> None:
    text = " ".join(re.sub(r"<[^>]*>", " ", rendered[rendered.index('id="findings"') :]).split())
    assert "convert.legal : 11 of 551 train queries leak a dev or test query. The gain at home may be too high." in text


def test_page_without_findings_does_not_mention_them() -> None:
    assert "indings" not in re.sub(r"<style>.*?</style>", "", page_html(page_contents.tiny()), flags=re.DOTALL)


def test_same_content_is_the_same_bytes(rendered: str) -> None:
    assert page_html(page_contents.sample()) == rendered


def test_empty_sections_are_left_out_and_named() -> None:
    text = page_html(page_contents.tiny())
    assert [a["id"] for tag, a in Elements(text).tags if tag == "section"] == ["matrix", "scores"]
    footer = " ".join(text[text.index("<footer>") :].split())
    assert "There is nothing to show for: verdict, changes and intervals, gain and forgetting, queries won" in footer


def test_numbers_that_are_absent_are_shown_as_absent() -> None:
    text = page_html(page_contents.one_tuned_model())
    assert "None" not in text
    assert "nan" not in text.lower().replace("nanosecond", "")
    assert "withheld" in text
    assert "+0.0621" in text


@pytest.mark.slow
def test_texts_of_the_data_stay_texts() -> None:
    plain, infected = (Elements(page_html(c)) for c in (page_contents.sample(30), infect(page_contents.sample(30))))
    assert [tag for tag, _ in infected.tags if tag != "svg"] == [tag for tag, _ in plain.tags if tag != "svg"]
    assert not any("onerror" in attributes for _, attributes in infected.tags)
    assert not any("window.hacked" in text for text in infected.scripts if not text.startswith("["))


def test_data_in_scripts_is_read_back_as_it_was() -> None:
    content = infect(page_contents.sample(30))
    parts: dict[str, list[Any]] = {}
    elements = Elements(page_html(content))
    kinds = [attributes.get("data-part") for tag, attributes in elements.tags if tag == "script"]
    for kind, text in zip(kinds, elements.scripts, strict=True):
        if kind:
            parts.setdefault(kind, []).extend(json.loads(text))
    assert parts["documents"] == content["changes"]["documents"]
    assert sorted(query[2] for query in parts["queries"]) == sorted(
        {row["query"] for row in content["changes"]["rows"]}
    )
    first = content["changes"]["rows"][0]
    assert parts["queries"][parts["rows"][0][1]][1:] == [first["query_id"], first["query"]]
    assert parts["rows"][0][2:] == [
        first[key] for key in ("base_score", "score", "change", "wanted", "found", "relevant")
    ]


@pytest.mark.slow
def test_changes_that_are_not_listed_are_counted() -> None:
    content = page_contents.sample(30)
    assert "changed less" not in page_html(content)
    content["changes"]["left_out"] = 1234
    assert "Only those that changed most are listed; 1,234 more changed less." in page_html(content)


def test_packed_queries_are_numbered_by_their_texts_and_pieces_are_small() -> None:
    packed = packed_changes.pack(page_contents.sample(9000)["changes"])
    pieces = [(part, json.loads(piece)) for part, piece in packed.pieces]
    texts = [query[2] for part, items in pieces if part == "queries" for query in items]
    assert len(texts) == 3000
    assert texts == sorted(texts, key=lambda text: (text.casefold(), text))
    assert max(len(items) for _, items in pieces) == packed_changes.PIECE
    assert packed.count == 9000


def test_a_number_that_is_not_finite_is_refused() -> None:
    content = page_contents.sample(1)
    content["changes"]["rows"][0]["score"] = float("nan")
    with pytest.raises(ValueError, match="Out of range float values are not JSON compliant"):
        page_html(content)


def test_numbers_are_written_with_their_signs() -> None:
    assert page.signed(0.05753) == "+0.0575"
    assert page.signed(-0.00004) == "0.0000"
    assert page.signed(-0.0312) == "−0.0312"
    assert page.signed(None) == "–"
    assert page.plain(12551) == "12,551"
    assert page.plain(0.01724) == "0.0172"
    assert page.optional_p_value(0.00002) == "< 0.0001"
    assert page.optional_p_value(0.21) == "0.2100"
    assert page.percent(0.95) == "95 %"


def test_charts_take_their_colours_from_the_page(rendered: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", rendered, flags=re.DOTALL)
    assert len(pictures) > 15
    for picture in pictures:
        assert "var(--" in picture
        assert not re.search(r'(?:fill|stroke)="(?:#|rgb|black|white|steelblue)', picture)
        assert " id=" not in picture  # an id would clash with the same one in another picture


def test_long_loss_curve_is_drawn_by_means_that_keep_its_level() -> None:
    # 1000 points in groups of 4: 250 points; the first group's mean is (0 + 1 + 2 + 3) / 4 = 1.5, at step 3
    points = charts._thinned([(step, float(step)) for step in range(1000)])
    assert len(points) == 250
    assert points[0] == (3, 1.5)


def test_densities_have_an_area_of_one() -> None:
    # bins 0.5 apart, shares 0.1 and 0.3: heights 0.1 / 0.2 and 0.3 / 0.2, so 0.5 * (0.5 + 1.5) = 1
    points = [{"x": 0.0, "y": 0.1, "label": "a"}, {"x": 0.5, "y": 0.3, "label": "a"}]
    assert [point["y"] for point in charts._densities(points)] == pytest.approx([0.5, 1.5])
