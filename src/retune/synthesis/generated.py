"""Queries that a language model writes, some for each document, of several kinds."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from retune.core.records import document_texts
from retune.core.seeds import generator
from retune.core.words import UNIT
from retune.llm.ask import ask
from retune.llm.json_reply import object_schema
from retune.llm.ledger import Ledger
from retune.llm.prompts import Prompt, without_tags
from retune.llm.replies import Reply, Request
from retune.params.synthesize import TWO_DOCUMENTS, Synthesize
from retune.synthesis.drafts import Draft, Drafts, Rejected

EXAMPLES_SHOWN = 4  # real queries in a prompt
BETWEEN_DOCUMENTS = "\n</document>\n<document>\n"


class _Asked(NamedTuple):
    """What one request asks for: the kind of query by the key of the reply."""

    doc_ids: Sequence[str]
    kinds: Mapping[str, str]
    request: Request


class Generated(NamedTuple):
    """Drafts, and what they took.

    Attributes:
        cut: How many documents were longer than the model was shown.
    """

    drafts: Drafts
    ledger: Ledger
    cut: int


class Wanted(NamedTuple):
    """What is asked for.

    Attributes:
        kinds_of: The shares of the kinds, by id of the document.
        prompt_of: The prompt in the language of the corpus, by id of the document.
        second_of: The other document of a query that needs two, by id of the document.
        examples: Real queries, of which each prompt shows some; none if empty.
    """

    kinds_of: Mapping[str, Mapping[str, float]]
    prompt_of: Mapping[str, Prompt]
    second_of: Mapping[str, str]
    examples: Sequence[str]


def draft(corpus: pd.DataFrame, params: Synthesize, wanted: Wanted, *, seed: int) -> Generated:
    """Ask for the queries of each document in one request, and in another for those that need a second document.

    Args:
        corpus: The documents to ask about.
        params: How many queries, of which model.
        wanted: What is asked for.
        seed: Draws the kinds, the examples and the part of a long document; the server gets it too.

    Raises:
        InputError: The server cannot be reached, or rejects all requests.
    """
    assert params.llm is not None
    assert params.generation is not None
    texts = dict(zip(corpus["doc_id"], document_texts(corpus), strict=True))
    parts = {doc_id: part_shown(doc_id, text, params.generation.document_words, seed) for doc_id, text in texts.items()}
    cut = sum(len(parts[doc_id]) < len(text) for doc_id, text in texts.items())
    asked: list[_Asked] = []
    rejected: list[Rejected] = []
    for doc_id in texts:
        rng = generator(seed, doc_id)
        drawn = _drawn(wanted.kinds_of[doc_id], params.queries_per_document, rng)
        examples, prompt = _some(wanted.examples, rng), wanted.prompt_of[doc_id]
        of_two = drawn.count(TWO_DOCUMENTS)
        second = wanted.second_of.get(doc_id)
        groups = [([doc_id], [kind for kind in drawn if kind != TWO_DOCUMENTS])]
        if second is not None:
            groups.append(([doc_id, second], [TWO_DOCUMENTS] * of_two))
        else:
            rejected += [Rejected(doc_id, TWO_DOCUMENTS, "", "no second document is near")] * of_two
        for doc_ids, kinds in groups:
            if kinds:
                keys = dict(_keys(kinds))
                shown = [parts[each] for each in doc_ids]
                request = _request(shown, keys, prompt, examples, has_answers=params.generation.answers)
                asked.append(_Asked(doc_ids, keys, request))
    order = generator(seed, "order of the requests").permutation(len(asked))  # a budget that ends cuts no part off
    shuffled, ledger = ask([asked[place].request for place in order], params.llm, seed=seed, desc="queries")
    replies = dict(zip(order.tolist(), shuffled, strict=True))
    queries: list[Draft] = []
    for place, item in enumerate(asked):
        reply = replies[place]
        for entry in _read(item, reply):
            (queries if isinstance(entry, Draft) else rejected).append(entry)  # type: ignore[arg-type]
    return Generated(Drafts(queries, rejected, corpus), ledger, cut)


def _drawn(shares: Mapping[str, float], count: int, rng: np.random.Generator) -> list[str]:
    kinds = sorted(shares)
    weights = np.array([shares[kind] for kind in kinds])
    return list(rng.choice(kinds, size=count, p=weights / weights.sum()))


def _request(
    texts: Sequence[str], keys: Mapping[str, str], prompt: Prompt, examples: Sequence[str], *, has_answers: bool
) -> Request:
    """Return the request for the queries of one document or two, by key of the reply."""
    wanted = {key: prompt.kinds[kind] for key, kind in keys.items()}
    if has_answers:
        wanted |= {f"{key}_answer": prompt.fill("answer", key=key) for key in keys}
    lines = "\n".join(f"- {' '.join(without_tags(query).split())}" for query in examples)
    shown = f"{prompt.fill('examples', queries=lines)}\n" if examples else ""
    requests = "\n".join(f'- "{key}": {meaning}' for key, meaning in wanted.items())
    document = BETWEEN_DOCUMENTS.join(without_tags(text) for text in texts)
    user = prompt.fill("user", examples=shown, document=document, requests=requests)
    return Request(
        prompt.fill("system"), user, object_schema({key: {"type": "string"} for key in wanted}), prompt.version
    )


def _keys(kinds: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield a key of the reply for each kind; the second of a kind ends in _2."""
    counts: Counter[str] = Counter()
    for kind in kinds:
        counts[kind] += 1
        yield (kind if counts[kind] == 1 else f"{kind}_{counts[kind]}"), str(kind)


def _some(examples: Sequence[str], rng: np.random.Generator) -> list[str]:
    count = min(EXAMPLES_SHOWN, len(examples))
    return [examples[number] for number in rng.choice(len(examples), size=count, replace=False)] if count else []


def part_shown(doc_id: str, text: str, most: int, seed: int) -> str:
    """Return the text, or if it is longer than `most` words one of its parts, drawn by the document's id."""
    rng = generator(seed, f"part of {doc_id}")
    starts = [match.start() for match in UNIT.finditer(text)]
    if len(starts) <= most:
        return text
    parts = range(0, len(starts), most)
    first = min(parts[int(rng.integers(len(parts)))], len(starts) - most)
    end = starts[first + most] if first + most < len(starts) else len(text)
    return text[starts[first] : end].strip()


def _read(item: _Asked, reply: Reply) -> Iterator[Draft | Rejected]:
    if reply.value is None:
        yield Rejected(item.doc_ids[0], "any", "", f"no reply: {reply.problem}")
        return
    value: dict[str, Any] = reply.value
    for key, kind in item.kinds.items():
        text = " ".join(str(value[key]).split())
        answer = " ".join(str(value.get(f"{key}_answer", "")).split()) or None
        first, second = (*item.doc_ids, None)[:2]
        assert first is not None
        yield Draft(first, kind, text, answer, second) if text else Rejected(first, kind, "", "empty query")
