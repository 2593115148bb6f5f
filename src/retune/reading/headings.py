"""Split text, Markdown and HTML into sections at headings, keeping where each text is in the file."""

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
"""Tags that separate words; any other tag may occur inside a word."""


class Piece(NamedTuple):
    """Text without markup and its place in the file, where it is written verbatim or as one character reference."""

    text: str
    start: int
    end: int


class Block:
    """Consecutive pieces without a break between them."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.text = "".join(piece.text for piece in pieces)
        self._pieces = pieces
        self._ends = list(accumulate(len(piece.text) for piece in pieces))

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where the text from `start` to `end` begins and ends in the file."""
        first, last = bisect_right(self._ends, start), bisect_right(self._ends, end - 1)
        before = self._ends[first] - len(self._pieces[first].text)
        return self._pieces[first].start + start - before, self._pieces[last].end + end - self._ends[last]


class TextSection(NamedTuple):
    """The text under one heading; its title is the path of headings."""

    title: str | None
    blocks: list[Block]


def plain_section(title: str | None, text: str, start: int = 0) -> TextSection:
    """Return a section whose text has no markup and begins at position `start` of its file."""
    return TextSection(title, [Block([Piece(text, start, start + len(text))])])


def markdown_sections(text: str) -> list[TextSection]:
    """Split Markdown at headings of the form `# x`, except inside code fences."""
    sections: list[TextSection] = []
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


def html_sections(text: str) -> list[TextSection]:
    """Split the visible text of an HTML page at h1 to h6."""
    page = _Page(text)
    page.feed(text)
    page.close()
    return page.sections


def _title(path: list[tuple[int, str]], level: int, heading: str) -> str:
    """Replace the headings at this level and deeper by this heading, and return the path as a title."""
    path[:] = [*((depth, text) for depth, text in path if depth < level), (level, heading)]
    return " > ".join(text for _, text in path)


class _Page(HTMLParser):
    """A parser that collects the visible text of an HTML page by section."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=False)  # handle each reference on its own, so that places are exact
        self.sections = [TextSection(None, [])]
        self._source = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self._path: list[tuple[int, str]] = []
        self._hidden = 0
        self._level = 0  # of the open heading
        self._heading: list[str] = []
        self._pieces: list[Piece] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Handle headings, tags that separate words and tags that hide text."""
        self._break(tag)
        if self._heading and tag != "br" and BREAK.fullmatch(tag):
            self._end_heading()  # its end tag is missing
        if HEADING.fullmatch(tag):
            self._level = int(tag[1])
        self._hidden += tag in HIDDEN

    def handle_endtag(self, tag: str) -> None:
        """Begin a section at the end of a heading."""
        self._break(tag)
        if HEADING.fullmatch(tag):
            self._end_heading()
        self._hidden = max(0, self._hidden - (tag in HIDDEN))

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self._add(data, len(data))

    def handle_entityref(self, name: str) -> None:
        """Collect a character reference by name, such as `&amp;`."""
        self._add_reference(f"&{name}")

    def handle_charref(self, name: str) -> None:
        """Collect a character reference by number, such as `&#38;`."""
        self._add_reference(f"&#{name}")

    def parse_marked_section(self, i: int, report: int = 1) -> int:
        """Skip `<![...>` as browsers do; the base class would stop at most of them."""
        return self.parse_bogus_comment(i)

    def close(self) -> None:
        """Add the remaining text at the end of the page."""
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
        """Separate the words before a tag from the words after it."""
        if not BREAK.fullmatch(tag):
            return
        if self._heading:
            self._heading.append(" ")
        if any(piece.text.strip() for piece in self._pieces):
            self.sections[-1].blocks.append(Block(self._pieces))
        self._pieces = []

    def _end_heading(self) -> None:
        if heading := " ".join("".join(self._heading).split()):
            self.sections.append(TextSection(_title(self._path, self._level, heading), []))
        self._level, self._heading = 0, []
