"""Add entries to the text of params.yaml, so that comments and layout stay as they are."""

import copy
import difflib
import io
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from retune.core.errors import InputError, ParameterError
from retune.starting.entries import Additions

INDENT = 2
MOST_LINES = 20  # of a data set; if there are more, entries of these sections get one line each, in turn
SHORTENED = ("merge", "mine", "finetune", "convert")
LISTS = {"models", "datasets"}  # of eval
WIDTH = 10_000  # no line is folded


class _Insertion(NamedTuple):
    """Text that takes the place of what is between two positions."""

    start: int
    end: int
    text: str


def refuse_existing(params: Mapping[str, Any], added: Additions) -> None:
    """Check that no entry exists yet.

    Raises:
        InputError: One line for each name that is taken.
    """
    taken = [
        f"{section}.{name}: expected no such entry, found one; nothing is changed: take another name, or remove it"
        for section, entries in added.entries.items()
        for name in entries
        if name in (params.get(section) or {})
    ]
    if taken:
        raise ParameterError(taken)


def edited(text: str, added: Additions) -> str:
    """Return the text of params.yaml with the additions.

    Raises:
        InputError: A section is missing, or has a form in which nothing can be added, such as an alias.
    """
    sections = _children(YAML(pure=True).compose(text))
    lists = _children(sections["eval"][1]) if "eval" in sections else {}
    if missing := sorted({*added.entries, "eval"} - sections.keys() | {f"eval.{x}" for x in LISTS - lists.keys()}):
        raise ParameterError([f"{section}: missing; add it" for section in missing])
    in_one_line = _shortened(added)
    insertions = [
        insertion
        for section, entries in added.entries.items()
        for insertion in _into_mapping(text, *sections[section], entries, 1 if section in in_one_line else 2)
    ]
    insertions += [_into_list(text, lists["models"][1], added.models)] if added.models else []
    insertions += [_into_list(text, lists["datasets"][1], added.datasets)] if added.datasets else []
    insertions += _groups(text, sections, added.seeds)
    result = text
    for start, end, inserted in sorted(insertions, reverse=True, key=lambda insertion: insertion.start):
        result = result[:start] + inserted + result[end:]
    if _load(result) != _merged(_load(text), added):
        raise InputError("params.yaml: expected sections in plain YAML, without aliases; add the entries by hand")
    return result


def _groups(
    text: str, sections: Mapping[str, tuple[ScalarNode, Node]], seeds: Mapping[str, list[str]]
) -> Iterator[_Insertion]:
    """Yield what adds groups of seeds to `compare.seeds`, which may not be there yet."""
    if not seeds:
        return
    if "compare" not in sections:
        raise ParameterError(["compare: missing; add it"])
    inner = _children(sections["compare"][1])
    if "seeds" not in inner:
        yield from _into_mapping(text, *sections["compare"], {"seeds": dict(seeds)}, 2)
        return
    groups = _children(inner["seeds"][1])
    for name, members in seeds.items():
        if name in groups:
            yield _into_list(text, groups[name][1], members[len(groups[name][1].value) :])
        else:
            yield from _into_mapping(text, *inner["seeds"], {name: members}, 2)


def difference(old: str, new: str) -> str:
    """Return the lines that differ, with a line around them."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "params.yaml", "params.yaml", n=1, lineterm="")
    return "\n".join(lines)


def _children(node: Node) -> dict[str, tuple[ScalarNode, Node]]:
    return {key.value: (key, value) for key, value in node.value} if isinstance(node, MappingNode) else {}


def _into_mapping(
    text: str, key: ScalarNode, node: Node, entry: dict[str, Any], flow_from: int
) -> Iterator[_Insertion]:
    """Yield what puts an entry at the end of a section."""
    is_block = isinstance(node, MappingNode) and not node.flow_style
    column = node.start_mark.column if is_block else key.start_mark.column + INDENT
    block = _indented(_dump(entry, flow_from=flow_from), column, _line_end(text))
    if is_block:
        place = _end_of_line(text, _last_leaf(node).end_mark.index)
        yield _Insertion(place, place, block)
    elif isinstance(node, ScalarNode):  # nothing
        place = _end_of_line(text, key.end_mark.index)
        yield _Insertion(place, place, block)
    elif not node.value:  # {}
        yield _Insertion(key.end_mark.index + 1, node.end_mark.index, block)
    else:
        place = node.end_mark.index - 1
        yield _Insertion(place, place, f", {_dump(entry, flow_from=0).strip()[1:-1]}")


def _into_list(text: str, node: Node, names: list[str]) -> _Insertion:
    """Return what puts names at the end of a list."""
    if isinstance(node, SequenceNode) and not node.flow_style:
        place = _end_of_line(text, _last_leaf(node).end_mark.index)
        block = "".join(f"- {name}\n" for name in names)
        return _Insertion(place, place, _indented(block, node.start_mark.column, _line_end(text)))
    place = node.end_mark.index - 1
    while text[place - 1].isspace():
        place -= 1
    comma = ", " if node.value and text[place - 1] != "," else " " if node.value else ""
    return _Insertion(place, place, comma + ", ".join(names))


def _last_leaf(node: Node) -> Node:
    """Return the last scalar or flow collection in a block."""
    while isinstance(node, MappingNode | SequenceNode) and node.value and not node.flow_style:
        last = node.value[-1]
        node = last[1] if isinstance(node, MappingNode) else last
    return node


def _end_of_line(text: str, index: int) -> int:
    """Return the position after the line that a node ends on; a block scalar ends after its line."""
    place = index
    while place > 0 and text[place - 1] in "\r\n ":
        place -= 1
    end = place
    while end < len(text) and text[end] not in "\r\n":
        end += 1
    return end


def _line_end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indented(block: str, column: int, line_end: str) -> str:
    """Return the lines of a block, each after a line end and indented."""
    return "".join(f"{line_end}{' ' * column}{line}" for line in block.splitlines())


def _shortened(added: Additions) -> set[str]:
    """Return the sections whose entries get one line each, so that a data set has few lines."""
    lines = {
        section: [_dump({name: entry}).count("\n") for name, entry in entries.items()]
        for section, entries in added.entries.items()
    }
    names = len(added.models) + len(added.datasets)
    for count in range(len(SHORTENED)):
        if sum(map(sum, lines.values())) + names <= MOST_LINES:
            return set(SHORTENED[:count])
        lines[SHORTENED[count]] = [1] * len(lines.get(SHORTENED[count], []))
    return set(SHORTENED)


def _dump(content: dict[str, Any], *, flow_from: int = 2) -> str:
    """Return YAML whose lists and mappings are in one line from a depth on."""
    yaml = YAML()
    yaml.width = WIDTH
    stream = io.StringIO()
    yaml.dump(_styled(content, flow_from), stream)
    return stream.getvalue()


def _styled(value: Any, flow_from: int) -> Any:
    """Return a copy whose lists and mappings carry their style."""
    styled: Any
    if isinstance(value, dict):
        styled = CommentedMap({name: _styled(item, flow_from - 1) for name, item in value.items()})
    elif isinstance(value, list):
        styled = CommentedSeq(_styled(item, flow_from - 1) for item in value)
    else:
        return value
    (styled.fa.set_flow_style if flow_from <= 0 else styled.fa.set_block_style)()
    return styled


def _load(text: str) -> Any:
    """Return the content of YAML; None if it is none."""
    try:
        return YAML(typ="safe").load(text)
    except YAMLError:
        return None


def _merged(params: Any, added: Additions) -> Any:
    """Return the parameters with the additions."""
    merged = copy.deepcopy(params)
    for section, entries in added.entries.items():
        merged[section] = (merged[section] or {}) | entries
    if added.seeds:
        merged["compare"]["seeds"] = (merged["compare"].get("seeds") or {}) | added.seeds
    merged["eval"]["models"] += added.models
    merged["eval"]["datasets"] += added.datasets
    return merged
