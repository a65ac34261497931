"""Say what you expect before you look: that is what makes the result stay."""

from collections.abc import Callable
from typing import Any


class Prediction:
    """What a learner expects, kept until the system has answered."""

    def __init__(self, question: str, answer: Any, unit: str = "") -> None:
        self.question = question
        self.answer = answer
        self.unit = unit

    def compare(self, actual: Any, *, fits: Callable[[Any, Any], bool] | None = None) -> None:
        """Prints both. ``fits`` decides what counts as right; without it the two must be equal."""
        was = f"{self.question}\n  the system says: {self._shown(actual)}"
        if self.answer is None or self.answer is ...:
            print(f"{was}\n  your prediction: none yet")  # noqa: T201
            return
        right = fits(self.answer, actual) if fits else self.answer == actual
        verdict = "as you said" if right else f"you said {self._shown(self.answer)}"
        print(f"{was}\n  {verdict}")  # noqa: T201

    def _shown(self, value: Any) -> str:
        return f"{value} {self.unit}".rstrip()


def predict(question: str, answer: Any, unit: str = "") -> Prediction:
    """Keeps ``answer``; ``compare`` it once the system has spoken. ``...`` is no answer yet."""
    return Prediction(question, answer, unit)


def within(share: float) -> Callable[[Any, Any], bool]:
    """A measured number is right when it is within ``share`` of the prediction: 0.2 is 20 percent."""
    return lambda said, was: abs(said - was) <= share * abs(was)
