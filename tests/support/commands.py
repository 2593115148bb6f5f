"""The commands that README and docs show, as they stand there."""

import re

from tests.support.repository import REPOSITORY

SKILL = "skills/retune/SKILL.md"  # for coding agents
PAGES = [
    "README.md",
    SKILL,
    *sorted(path.relative_to(REPOSITORY).as_posix() for path in REPOSITORY.glob("docs/**/*.md")),
]
PROGRAMS = r"dvc|make|git|python|pip|uv|source|export|hf|kaggle|torchrun|gh|unzip|cp|mv|rm|mkdir|head|grep|sha256sum|pytest|docker"
INLINE = re.compile(rf"(?:[A-Z_]+=\S* )*(?:(?:{PROGRAMS}) \S.*|\.github/scripts/\w+\.sh.*)")
BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    """Return the blocks of shell commands of a page."""
    found = BLOCK.findall(text_of(page))
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, kind, text in found if kind == "bash"]


def lines(block: str) -> list[str]:
    """Return each command of a block, without comments and with the lines that continue it."""
    block = re.sub(r"<<'(\w+)'\n.*?^\1$", r"<<'\1'", block, flags=re.MULTILINE | re.DOTALL)
    commands: list[str] = []
    for line in re.sub(r"\\\n\s*", "", block).splitlines():
        if commands and commands[-1].count('"') % 2:  # inside quotes
            commands[-1] += f"\n{line}"
        elif line.strip():
            commands.append(re.sub(r"\s+#\s.*", "", line))
    return commands


def in_blocks(page: str) -> list[str]:
    """Return the commands in the blocks of a page."""
    return [line for block in blocks(page) for line in lines(block)]


def inline(page: str) -> list[str]:
    """Return the commands in the sentences and tables of a page, without `…` at their end."""
    spans = re.findall(r"`([^`\n]+)`", BLOCK.sub("", text_of(page)))
    return [re.sub(r" ?…$", "", span) for span in spans if INLINE.fullmatch(span)]
