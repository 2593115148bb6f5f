"""All of params.yaml, each entry checked by itself."""

from dataclasses import dataclass

from retune.params.compare import Compare
from retune.params.convert import Convert
from retune.params.eval import Eval
from retune.params.export import Export
from retune.params.fetch import Entry
from retune.params.finetune import Finetune
from retune.params.fuse import Fuse
from retune.params.merge import Merge
from retune.params.mine import Mine
from retune.params.mix import Mix
from retune.params.predict import Predict
from retune.params.rerank import Rerank
from retune.params.synthesize import Synthesize


@dataclass(frozen=True)
class Project:
    """The checked sections of params.yaml."""

    seed: int
    fetch: dict[str, Entry]
    convert: dict[str, Convert]
    synthesize: dict[str, Synthesize]
    mine: dict[str, Mine]
    mix: dict[str, Mix]
    finetune: dict[str, Finetune]
    merge: dict[str, Merge]
    export: dict[str, Export]
    rerank: dict[str, Rerank]
    fuse: dict[str, Fuse]
    eval: Eval
    compare: Compare
    predict: dict[str, Predict]

    @property
    def made_models(self) -> list[str]:
        """The models that are tuned or merged in the project, from fetched ones."""
        return [*self.finetune, *self.merge]

    @property
    def models(self) -> list[str]:
        """All models."""
        return [*self.fetch, *self.made_models, *self.export]

    @property
    def systems(self) -> dict[str, Rerank | Fuse]:
        """The systems of two models."""
        return {**self.rerank, **self.fuse}

    @property
    def cross_encoders(self) -> list[str]:
        """The tuned models that are cross-encoders, which score pairs and have no vectors."""
        return [name for name, model in self.finetune.items() if model.method == "cross_encoder"]
