"""The skill for coding agents has the form that agents read, and names what exists."""

import json
import re

from ruamel.yaml import YAML

from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "skills/retune"
_, HEAD, BODY = (FOLDER / "SKILL.md").read_text(encoding="utf-8").split("---\n", maxsplit=2)


def test_head_has_name_and_description() -> None:
    head = YAML(typ="safe").load(HEAD)
    assert head.keys() == {"name", "description"}
    assert head["name"] == FOLDER.name
    assert 0 < len(head["description"]) <= 1024
    assert len(BODY.splitlines()) < 100


def test_keys_of_the_verdict_exist() -> None:
    verdict = json.loads((REPOSITORY / "metrics/verdict.json").read_text())["tuned_models"][0]
    names = re.search(r"`tuned_models` the keys (.*?)\. Report", BODY, flags=re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", names)) <= verdict.keys()
