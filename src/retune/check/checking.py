"""Check all of params.yaml, entry by entry and across its sections, before anything runs."""

import re
from collections.abc import Mapping
from typing import Any

from retune.check.predictions import wrong_predictions
from retune.check.project import Project
from retune.check.references import missing_paths, unknown_names, wrong_mixtures
from retune.check.rules import broken_rules, unknown_in_comparison
from retune.check.sections import PARSERS, Sections, wrong_defaults
from retune.core.errors import ParameterError
from retune.core.section import NAME, defaults_of


def check(params: Mapping[str, Any]) -> Project:
    """Check names, types, ranges and references of a whole params file.

    Raises:
        InputError: One line for each finding. References are checked only if every entry is valid by itself.
    """
    sections = Sections.parse("", dict(params))
    findings = list(wrong_defaults(params))
    entries: dict[str, dict[str, Any]] = {section: {} for section in PARSERS}
    for section, parse in PARSERS.items():
        for name, value in getattr(sections, section).items():
            if not re.fullmatch(NAME, name):
                findings.append(f"{section}.{name}: expected a name of a-z, 0-9 and _, got {name!r}")
            try:
                entries[section][name] = parse(f"{section}.{name}", value, defaults_of(params, section))
            except ParameterError as error:
                findings += error.findings
    findings = list(dict.fromkeys(findings))  # a wrong default is found once for every entry
    if not findings:
        project = Project(sections.seed, **entries, eval=sections.eval, compare=sections.compare)
        findings = [
            *missing_paths(project),
            *unknown_names(project),
            *wrong_mixtures(project),
            *wrong_predictions(project),
        ]
        findings += unknown_in_comparison(project)
        findings = findings or list(broken_rules(project))
    if findings:
        raise ParameterError(findings)
    return project
