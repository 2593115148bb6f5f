"""The sections of params.yaml, the parser of each, and what their defaults may hold."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from retune.core.errors import ParameterError
from retune.core.section import DEFAULTS, Section, defaults_of, origins
from retune.datasets.convert import formats, params_of, parse_params
from retune.encoding.compute import Compute
from retune.params.compare import Compare
from retune.params.convert import Convert
from retune.params.eval import Eval
from retune.params.export import Export
from retune.params.fetch import Fetch, parse_entry
from retune.params.finetune import Finetune
from retune.params.fuse import Fuse
from retune.params.merge import Merge
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.predict import Predict
from retune.params.rerank import Rerank
from retune.params.synthesize import Synthesize


class Defaults(Section):
    """Values that complete the entries of a stage: only parameters that all its formats and methods have."""

    fetch: dict[str, Any]
    convert: dict[str, Any]
    synthesize: dict[str, Any]
    mine: dict[str, Any]
    finetune: dict[str, Any]
    merge: dict[str, Any]
    export: dict[str, Any]


class Sections(Section):
    """The sections of params.yaml. Those with named entries are parsed entry by entry, see `PARSERS`."""

    defaults: Defaults
    seed: Annotated[int, Field(ge=0, lt=2**32)]
    compute: Compute
    fetch: dict[str, Any]
    convert: dict[str, Any]
    synthesize: dict[str, Any]
    mine: dict[str, Any]
    mix: dict[str, Any]
    finetune: dict[str, Any]
    merge: dict[str, Any]
    export: dict[str, Any]
    rerank: dict[str, Any]
    fuse: dict[str, Any]
    eval: Eval
    compare: Compare
    predict: dict[str, Any]


PARSERS: dict[str, Callable[[str, Any, Mapping[str, Any]], Section]] = {
    "fetch": parse_entry,
    "convert": parse_params,
    "synthesize": Synthesize.parse,
    "mine": Mine.parse,
    "mix": Mix.parse,
    "finetune": Finetune.parse,
    "merge": Merge.parse,
    "export": Export.parse,
    "rerank": Rerank.parse,
    "fuse": Fuse.parse,
    "predict": Predict.parse,
}
WITH_DEFAULTS: dict[str, type[Section]] = {
    "fetch": Fetch, "convert": Convert, "synthesize": Synthesize, "mine": Mine, "finetune": Finetune,
    "merge": Merge, "export": Export,
}  # fmt: skip


def wrong_defaults(params: Mapping[str, Any]) -> Iterator[str]:
    """Yield defaults that only one format or method of a stage has, or that every entry must contain itself."""
    for section, kind in WITH_DEFAULTS.items():
        for name in defaults_of(params, section):
            where = f"{DEFAULTS}.{section}.{name}"
            if name in kind.RENAMED:
                yield f"{where}: not a parameter any more; {kind.RENAMED[name]}"
            elif name in kind.OF_ONE_ENTRY or (section == "convert" and _is_of_a_format(name)):
                yield f"{where}: expected a parameter that all entries can share; write it in the entry"
            elif name not in kind.model_fields:
                yield f"{where}: unknown parameter; remove it or fix the spelling"


def _is_of_a_format(name: str) -> bool:
    """Return whether a parameter belongs to some formats only."""
    return name not in Convert.model_fields and any(name in params_of(known).model_fields for known in formats())


def show(params: Mapping[str, Any], key: str) -> str:
    """Return an entry as it runs: one value on each line, with the section that contains it.

    Raises:
        InputError: There is no such entry, or it is wrong.
    """
    section, _, name = key.partition(".")
    Sections.parse("", dict(params))
    entries = params.get(section, {})
    if section not in PARSERS or name not in entries:
        known = [f"{parsed}.{entry}" for parsed in PARSERS for entry in params[parsed]]
        raise ParameterError([f"{key}: expected an entry, one of {', '.join(known)}"])
    defaults = defaults_of(params, section)
    checked = PARSERS[section](key, entries[name], defaults).model_dump()
    lines = [
        (f"{path}: {json.dumps(value, ensure_ascii=False)}", place)
        for path, value, place in origins(key, checked, entries[name], defaults)
    ]
    width = max(len(line) for line, _ in lines)
    return "\n".join([f"{key}:", *(f"  {line:<{width}}  # {place}" for line, place in lines)])
