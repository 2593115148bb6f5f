"""Everything that a training needs before its first step."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sentence_transformers import SentenceTransformer
from sentence_transformers.base.training_args import BaseTrainingArguments

from retune.core.records import Mined, read_mined
from retune.encoding.encoder import Encoder
from retune.encoding.hardware import ALL_KERNELS, resolve_device, resolve_dtype, tune_memory
from retune.models.directory import read_encoding
from retune.models.encoding_settings import Encoding
from retune.training.anchors import Anchors
from retune.training.arguments import training_arguments
from retune.training.batches.plan import Plan
from retune.training.dev_scoring import DevEvaluator, dev_scorer
from retune.training.guide import Guide
from retune.training.keeping.checkpoints import CHECKPOINTS
from retune.training.keeping.keeper import Keeper
from retune.training.keeping.save import KEPT, keep_model
from retune.training.load import load_for_training
from retune.training.processes.group import from_main
from retune.training.spec import Task
from retune.training.teacher import Teacher, add_projection, read_teacher
from retune.training.towers import BaseVectors

NUM_PARITY_TEXTS = 16


@dataclass(frozen=True)
class Prepared:
    """A training that is ready to start, with either engine.

    Attributes:
        task: The description of the training.
        scratch: Its scratch directory, where the tuned model is left.
        encoding: The encoding settings of the base.
        plan: The batches.
        targets: The vectors that some texts are to keep (`anchor`), or that all are to learn (`embed_distill`).
        base_vectors: The base's vectors, if only a query tower is trained.
        model: The base, which is trained in place.
        args: The arguments of the library's trainer.
        dev_evaluator: Scores the model on the dev split, and saves it in the scratch directory if it is to be kept.
    """

    task: Task
    scratch: Path
    encoding: Encoding
    plan: Plan
    targets: Anchors | Teacher | None
    base_vectors: BaseVectors | None
    model: SentenceTransformer
    args: BaseTrainingArguments
    dev_evaluator: DevEvaluator[SentenceTransformer]


def prepare(task: Task, scratch: Path) -> Prepared:
    """Read the examples, and load the base, ready to train.

    Raises:
        InputError: There are no dev queries, too few mined negatives, or an unknown metric or training argument; or
            the base cannot be trained like this.
    """
    device = resolve_device(task.compute.device)
    tune_memory(device, ALL_KERNELS)  # every step needs all kernels again
    encoding = read_encoding(task.base)
    dtype = resolve_dtype(encoding.dtype, device)
    mined = read_mined(task.mined)
    plan = _plan(task, mined)
    targets, base_vectors = _targets(task, plan), _base_vectors(task, plan)
    args = training_arguments(task.params, scratch / CHECKPOINTS, device, dtype, task.seed)
    model = load_for_training(task, device, dtype)
    save = partial(keep_model, encoding=encoding, folder=scratch / KEPT, texts=plan.documents[:NUM_PARITY_TEXTS])
    score = dev_scorer(task, encoding, mined)
    finish = None
    if isinstance(targets, Teacher) and task.params.keep_projection:
        finish = partial(add_projection, projection=targets.projection)
    dev_evaluator = DevEvaluator(score, Keeper(task.params, scratch, args.device, save, finish))
    return Prepared(task, scratch, encoding, plan, targets, base_vectors, model, args, dev_evaluator)


def _plan(task: Task, mined: Mined) -> Plan:
    plan, margin = Plan(mined, task.params, seed=task.seed), task.params.guide_margin
    if margin is None:
        return plan
    encoder = Encoder.load(task.guide, task.compute)
    return plan.guided_by(from_main(lambda: Guide(encoder, plan.queries, plan.documents, margin)))


def _targets(task: Task, plan: Plan) -> Anchors | Teacher | None:
    if task.params.loss == "embed_distill":
        return from_main(lambda: read_teacher(task, plan))
    anchor = task.params.anchor
    if anchor is None:
        return None
    encoder = Encoder.load(task.base, task.compute)
    return from_main(lambda: Anchors(encoder, plan.examples, anchor.dataset))


def _base_vectors(task: Task, plan: Plan) -> BaseVectors | None:
    if task.params.method != "query_tower":
        return None
    encoder, has_head = Encoder.load(task.base, task.compute), task.params.head is not None
    return from_main(lambda: BaseVectors.encode(encoder, plan, with_queries=has_head))
