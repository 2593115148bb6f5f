"""The verdict on each tuned model as a whole: one word, one sentence, and whether it passes the gate."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retune.comparison.compare import Comparison, gain_kept, summarise
from retune.comparison.gate import GateResult
from retune.comparison.verdict import SYNTHETIC, Measurement, Word
from retune.comparison.wording import change_with_interval, p_equation
from retune.params.compare import Compare


@dataclass(frozen=True)
class ModelVerdict:
    """A tuned model, judged.

    Attributes:
        model: Its name.
        base: The model that was tuned.
        home: The data set it was tuned for.
        word: `forgot` if it forgot on any data set, otherwise the word at home; of an export, the worst word on any.
        sentence: The gain and the worst change elsewhere, with their intervals.
        gain: Change at home.
        gain_kept: The gain divided by the best gain of any tuned model with this base and home; None if there is no
            other one, or if none of them gained.
        forgetting_mean: Mean forgetting over all other data sets; None if there are none.
        forgetting_worst: Largest forgetting on another data set.
        backward_transfer: Mean change on the other data sets, which is minus the mean forgetting (Lopez-Paz and
            Ranzato, arXiv:1706.08840).
        gate: Whether every rule holds; None if there is no gate.
        failures: A sentence for each rule that does not hold.
    """

    model: str
    base: str
    home: str
    word: Word
    sentence: str
    gain: float
    gain_kept: float | None
    forgetting_mean: float | None
    forgetting_worst: float | None
    backward_transfer: float | None
    gate: Literal["passed", "failed"] | None
    failures: list[str]

    @property
    def worst_change_elsewhere(self) -> float | None:
        """The smallest change on another data set; negative if something was lost."""
        return None if self.forgetting_worst is None else 0.0 - self.forgetting_worst


def judge_models(comparison: Comparison, results: Sequence[GateResult]) -> list[ModelVerdict]:
    """Judge every tuned model, in the order of the models."""
    summary = summarise(comparison)
    verdicts = []
    for name, tuned in comparison.tuned_models.items():
        home, elsewhere = comparison.home(name), comparison.elsewhere(name)
        forgetting_mean = summary["forgetting_mean"].get(name)
        failures = [result.sentence for result in results if result.model == name and not result.holds]
        verdicts.append(
            ModelVerdict(
                model=name,
                base=tuned.base,
                home=tuned.home,
                word=_worst(elsewhere) if tuned.is_export else _word(home, elsewhere),
                sentence=_sentence(home, [other for other in elsewhere if other is not home], comparison.params),
                gain=summary["gain"][name],
                gain_kept=gain_kept(comparison, name),
                forgetting_mean=forgetting_mean,
                forgetting_worst=summary["forgetting_worst"].get(name),
                backward_transfer=None if forgetting_mean is None else 0.0 - forgetting_mean,
                gate=None if comparison.params.gate is None else ("failed" if failures else "passed"),
                failures=failures,
            )
        )
    return verdicts


def _word(home: Measurement, elsewhere: Sequence[Measurement]) -> Word:
    assert home.word is not None
    return "forgot" if any(measurement.word == "forgot" for measurement in elsewhere) else home.word


def _worst(measurements: Sequence[Measurement]) -> Word:
    """Return the worst word on any data set; `non-inferior` if an export is as good as its model on all of them."""
    words = {measurement.word for measurement in measurements}
    worst: tuple[Word, ...] = ("forgot", "withheld", "no difference shown")
    return next((word for word in worst if word in words), "non-inferior")


def _sentence(home: Measurement, elsewhere: Sequence[Measurement], params: Compare) -> str:
    """Describe the change at home and the worst one elsewhere; `elsewhere` begins with the largest loss."""
    where = f"the {SYNTHETIC} of {home.dataset}" if home.is_synthetic else home.dataset
    sentence = f"{home.change or 0.0:+.4f} on {where}"
    if home.p_holm is None:
        sentence += f", but {home.reason}"
    else:
        sentence += (
            f" ({100 * params.confidence:g} % confidence interval {home.low:+.4f} to {home.high:+.4f}, corrected "
            f"{p_equation(home.p_holm)}) over {home.queries:,} queries"
        )
    if home.seeds is not None:
        sentence += f", mean of {home.seeds} seeds {home.seed_mean:+.4f}, standard deviation {home.seed_spread:.4f}"
    forgot = [measurement for measurement in elsewhere if measurement.word == "forgot"]
    if forgot:
        losses = ", ".join(f"{measurement.test_set} {change_with_interval(measurement)}" for measurement in forgot)
        return f"{sentence}, {home.word}; forgot elsewhere: {losses}"
    if not elsewhere:
        return f"{sentence}; forgetting was not measured"
    worst = elsewhere[0]
    kind = "largest loss" if (worst.change or 0.0) < 0.0 else "smallest change"
    return f"{sentence}; {kind} elsewhere: {worst.test_set} {change_with_interval(worst)}, {worst.word}"
