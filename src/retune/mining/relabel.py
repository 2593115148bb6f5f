"""Relabelling: ask of negatives with a high score whether they answer their query, as some unjudged documents do.

RLHN (Thakur et al., arXiv:2505.16967) relabels such negatives as positives; ARHN (arXiv:2604.11092) asks a local model.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retune.core.errors import InputError
from retune.core.words import count_words, first_words
from retune.encoding.encoder import Encoder
from retune.llm.judge import judge
from retune.llm.ledger import Ledger
from retune.llm.prompts import Prompt
from retune.mining.candidates import NegativeCandidates
from retune.mining.inputs import MiningInputs
from retune.params.mine import Mine
from retune.retrieval.cross_encoder import CrossEncoderScorer
from retune.text.language import main_language


@dataclass(frozen=True)
class Relabelled:
    """The negatives that answer their query.

    Attributes:
        answers: These negatives, the highest score first.
        judge_scores: The judge's score of each of them, (answers,).
        asked: How many negatives the judge was to score.
        unanswered: How many of them it did not score; they stay negatives.
        cut: How many documents were longer than the language model was shown.
        are_positives: Whether the answers become positives, instead of being left out.
        ledger: What the language model was asked; None if it was none.
    """

    answers: NegativeCandidates
    judge_scores: np.ndarray
    asked: int
    unanswered: int
    cut: int
    are_positives: bool
    ledger: Ledger | None

    def counts(self) -> dict[str, Any]:
        """Return the counts for the audit."""
        counts: dict[str, Any] = {
            "asked": self.asked,
            "unanswered": self.unanswered,
            "became_positive": len(self.answers) if self.are_positives else 0,
            "left_out": 0 if self.are_positives else len(self.answers),
        }
        if self.ledger is None:
            return counts
        return counts | {"documents_cut": self.cut, "judge": self.ledger.metrics()}


class Relabelling:
    """Finds the negatives that answer their query, as the block `relabel` of a recipe says.

    Attributes:
        threshold: A negative that scores below this needs no judge.
    """

    def __init__(
        self, inputs: MiningInputs, scorer: Encoder | CrossEncoderScorer, params: Mine, prompts: Path | None, seed: int
    ) -> None:
        """Check that the judge can be asked, before anything is mined.

        Args:
            inputs: Queries and documents.
            scorer: The model that scored the negatives.
            params: The recipe, with a block `relabel`.
            prompts: The folder of prompt files; needed for a language model.
            seed: Sent to the language model's server.

        Raises:
            InputError: The scorer is to judge but is no cross-encoder, or there is no prompt in the language of the
                documents.
        """
        assert params.relabel is not None
        self._inputs, self._params, self._seed = inputs, params.relabel, seed
        self.threshold = params.relabel.threshold
        if self._params.by == "cross_encoder" and not isinstance(scorer, CrossEncoderScorer):
            raise InputError(
                f"{params.dataset}: relabel.by cross_encoder: expected a scorer that is a cross-encoder, got the "
                f"embedding model {params.scorer!r}; choose another scorer, or by: llm"
            )
        if self._params.by == "llm":
            assert prompts is not None
            self._prompt = Prompt(prompts, "judge", main_language(inputs.documents["text"].tolist()))

    def find_answers(self, negatives: NegativeCandidates) -> Relabelled:
        """Return the negatives that the judge gives at least the score `lowest`.

        A language model is asked of negatives that score at least `above`, the highest score first, in case a budget
        ends the asking. A cross-encoder has scored all of them already.

        Raises:
            InputError: The language model's server cannot be reached, or failed for many requests.
        """
        asked = negatives.take(np.lexsort((negatives.document, negatives.query, -negatives.score)))
        ledger, cut = None, 0
        judge_scores = asked.score.astype(float)
        if self._params.by == "llm":
            asked = asked.take(asked.score >= self.threshold)
            judge_scores, ledger, cut = self._ask(asked)
        is_answer = judge_scores >= self._params.lowest
        return Relabelled(
            answers=asked.take(is_answer),
            judge_scores=judge_scores[is_answer],
            asked=len(asked),
            unanswered=int(np.isnan(judge_scores).sum()),
            cut=cut,
            are_positives=self._params.becomes == "positive",
            ledger=ledger,
        )

    def _ask(self, asked: NegativeCandidates) -> tuple[np.ndarray, Ledger, int]:
        """Return the language model's scores, (pairs,), NaN where there is none, what was asked, and documents cut."""
        assert self._params.llm is not None
        assert self._params.document_words is not None
        queries, documents = self._inputs.query_texts, self._inputs.document_texts
        most = self._params.document_words
        shown = {position: documents[position] for position in asked.document.tolist()}
        long = {position: first_words(text, most) for position, text in shown.items() if count_words(text) > most}
        shown |= long
        pairs = [
            (queries[row], shown[position])
            for row, position in zip(asked.query.tolist(), asked.document.tolist(), strict=True)
        ]
        scores, ledger = judge(pairs, self._params.llm, self._prompt, seed=self._seed)
        return np.array(scores, dtype=float), ledger, len(long)  # None becomes NaN
