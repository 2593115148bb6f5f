"""Cut text, Markdown and HTML at their headings; every section knows where its text stands in the file."""

import re
from bisect import bisect_right
from html import unescape
from html.parser import HTMLParser
from itertools import accumulate
from typing import NamedTuple

FENCE_OR_HEADING = re.compile(
    r"^(?: {0,3}(?P<fence>`{3,}+(?![^`\n]*`)|~{3,}+)(?P<info>.*)|(?P<level>#{1,6})[ \t]+(?P<heading>\S.*))$",
    re.MULTILINE,
)
HIDDEN = {"script", "style", "template", "noscript", "title"}
HEADING = re.compile(r"h[1-6]")
BREAK = re.compile(
    r"address|article|aside|blockquote|body|br|caption|center|dd|details|dialog|dir|div|dl|dt|"
    r"fieldset|figcaption|figure|footer|form|h[1-6r]|head|header|hgroup|html|legend|li|main|menu|"
    r"nav|ol|optgroup|option|p|pre|search|section|select|summary|table|tbody|td|textarea|tfoot|"
    r"th|thead|title|tr|ul"
)
"""Tags that part words; any other may stand inside a word."""


class Piece(NamedTuple):
    """Text without markup, and where it stands in its file: as it is, or written as one character reference."""

    text: str
    start: int
    end: int


class Block:
    """Pieces that follow each other without a break."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.text = "".join(piece.text for piece in pieces)
        self._pieces = pieces
        self._ends = list(accumulate(len(piece.text) for piece in pieces))

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where a part of the text begins and ends in the file."""
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, end - 1)
        before = self._ends[first] - len(self._pieces[first].text)
        return self._pieces[first].start + start - before, self._pieces[last].end + end - self._ends[last]


class Section(NamedTuple):
    """What stands under one heading; the title is the path of headings."""

    title: str | None
    blocks: list[Block]


def plain_section(title: str | None, text: str, start: int = 0) -> Section:
    """Return a section whose text has no markup and begins at `start` of its file."""
    return Section(title, [Block([Piece(text, start, start + len(text))])])


def markdown_sections(text: str) -> list[Section]:
    """Cut Markdown at headings of the form `# x`, those inside a code fence left alone."""
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    title, start, fence = None, 0, ""
    for match in FENCE_OR_HEADING.finditer(text):
        mark, info, level, heading = match.groups()
        if mark and not fence:
            fence = mark
        elif mark and mark.startswith(fence) and not info.strip():
            fence = ""
        elif level and not fence:
            sections.append(plain_section(title, text[start : match.start()], start))
            title, start = _title(path, len(level), re.sub(r"(?<=\s)#+$", "", heading.rstrip()).rstrip()), match.end()
    return [*sections, plain_section(title, text[start:], start)]


def html_sections(text: str) -> list[Section]:
    """Cut the visible text of an HTML page at h1 to h6."""
    page = _Page(text)
    page.feed(text)
    page.close()
    return page.sections


def _title(path: list[tuple[int, str]], level: int, heading: str) -> str:
    """Replace what stands at the heading's level and below, and return the whole path."""
    path[:] = [*((depth, text) for depth, text in path if depth < level), (level, heading)]
    return " > ".join(text for _, text in path)


class _Page(HTMLParser):
    """Collects the visible text of an HTML page, section by section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)  # each reference by itself, so that places are exact
        self.sections = [Section(None, [])]
        self._source = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._path: list[tuple[int, str]] = []
        self._hidden = 0
        self._level = 0  # of the open heading
        self._heading: list[str] = []
        self._pieces: list[Piece] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what hides text, what parts words, and headings."""
        self._break(tag)
        if self._heading and tag != "br" and BREAK.fullmatch(tag):
            self._end_heading()  # its own end tag is missing
        if HEADING.fullmatch(tag):
            self._level = int(tag[1])
        self._hidden += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        """Begin a section where a heading ends."""
        self._break(tag)
        if HEADING.fullmatch(tag):
            self._end_heading()
        self._hidden = max(0, self._hidden - (tag in HIDDEN))

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self._add(data, len(data))

    def handle_entityref(self, name: str) -> None:
        """Collect a character that is written as a name."""
        self._add_reference(f"&{name}")

    def handle_charref(self, name: str) -> None:
        """Collect a character that is written as a number."""
        self._add_reference(f"&#{name}")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Pass over `<![...>` as browsers do; the parser would stop at most of them."""
        return self.parse_bogus_comment(i)

    def close(self) -> None:
        """Take what is left at the end of the page."""
        super().close()
        self._end_heading()
        self._break("html")

    def _add_reference(self, reference: str) -> None:
        end = self._position() + len(reference)
        semicolon = ";" if self._source.startswith(";", end) else ""
        self._add(unescape(reference + semicolon), len(reference + semicolon))

    def _add(self, text: str, length: int) -> None:
        if self._hidden:
            return
        if self._level and (self._heading or text.strip()):
            self._heading.append(text)
        else:
            start = self._position()
            self._pieces.append(Piece(text, start, start + length))

    def _position(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def _break(self, tag: str) -> None:
        """Part the words before a tag from those after it."""
        if not BREAK.fullmatch(tag):
            return
        if self._heading:
            self._heading.append(" ")
        if any(piece.text.strip() for piece in self._pieces):
            self.sections[-1].blocks.append(Block(self._pieces))
        self._pieces = []

    def _end_heading(self) -> None:
        if heading := " ".join("".join(self._heading).split()):
            self.sections.append(Section(_title(self._path, self._level, heading), []))
        self._level, self._heading = 0, []
