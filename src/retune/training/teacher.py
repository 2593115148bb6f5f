"""A teacher's vectors, which a model learns to follow: embedding distillation (LEAF, arXiv:2509.12539)."""

import logging
from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Normalize

from retune.core.errors import InputError
from retune.encoding.encoder import Encoder
from retune.models.vector_table import is_vector_table, read_vector_table
from retune.training.batches.plan import Plan, TrainingBatch
from retune.training.spec import Task

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Teacher:
    """A teacher's vectors of the texts of a plan, in the space of the student.

    Attributes:
        queries: Unit vectors that the queries are to get, (queries, student dim) float32.
        documents: Unit vectors that the documents are to get, (documents, student dim) float32.
        projection: The columns that turn a teacher's vector into a student's, (teacher dim, student dim) float32.
    """

    queries: np.ndarray
    documents: np.ndarray
    projection: np.ndarray

    def has(self, batch: TrainingBatch) -> bool:
        """Return true: every text of every batch has a vector."""
        return True

    def of(self, batch: TrainingBatch) -> np.ndarray:
        """Return the vectors of a batch's queries, then of its documents, (texts, student dim) float32."""
        return np.concatenate([self.queries[batch.queries], self.documents[batch.documents]])


def read_teacher(task: Task, plan: Plan) -> Teacher:
    """Encode the texts of a plan with the guide, and fit the projection into the student's space.

    Raises:
        InputError: The guide is a table of vectors that lacks some of the texts, or the queries have prompts.
    """
    texts, prompts = zip(*plan.queries, strict=True)
    with_prompt = sum(prompt is not None for prompt in prompts)
    if with_prompt and is_vector_table(task.guide):
        raise InputError(
            f"{task.guide}: expected queries without prompts, as a table has one vector of each text, got "
            f"{with_prompt} with one; remove convert.<name>.prompt, or fetch the teacher itself"
        )
    student = Encoder.load(task.base, task.compute)
    student_sides = student.encode_queries(texts, prompts), student.encode_documents(plan.documents)
    if is_vector_table(task.guide):
        table = read_vector_table(task.guide)
        sides = table.of("query", texts), table.of("document", plan.documents)
    else:
        guide = Encoder.load(task.guide, task.compute)
        sides = guide.encode_queries(texts, prompts), guide.encode_documents(plan.documents)
    teacher = np.concatenate(sides)
    projection = fit_projection(teacher, np.concatenate(student_sides))
    kept = float(np.square(teacher @ projection).sum(axis=1).mean())
    sizes = *projection.shape, 100 * kept
    LOG.info("projection from %d to %d dimensions, which keep %.1f%% of the teacher's vectors", *sizes)
    queries, documents = (_unit(side @ projection) for side in sides)
    return Teacher(queries, documents, projection)


def fit_projection(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """Return the projection P under which `teacher @ P` is closest to `student`, among those that keep most of it.

    The teacher's vectors are cut to their leading singular vectors if they have more dimensions than the student's, and
    turned by the rotation closest to the student's vectors (orthogonal Procrustes, Schoenemann 1966). Neither changes
    an angle in the subspace that is kept. So the student needs no layer for it, and it is dropped after training.

    Args:
        teacher: Unit vectors, (texts, teacher dim).
        student: Unit vectors of the same texts, (texts, student dim).

    Returns:
        (teacher dim, student dim) float32; its columns, or its rows if these are fewer, are orthonormal.
    """
    dim, kept = teacher.shape[1], min(teacher.shape[1], student.shape[1])
    _, leading = np.linalg.eigh((teacher.T @ teacher).astype(np.float64))  # eigenvalues ascend
    basis = leading[:, dim - kept :]
    left, _, right = np.linalg.svd(basis.T @ (teacher.T @ student).astype(np.float64), full_matrices=False)
    projection: np.ndarray = (basis @ left @ right).astype(np.float32)
    return projection


def add_projection(model: SentenceTransformer, projection: np.ndarray) -> None:
    """Append layers that turn the model's unit vectors into unit vectors in the teacher's space."""
    weight = torch.from_numpy(projection)
    dense = Dense(
        in_features=weight.shape[1],
        out_features=weight.shape[0],
        bias=False,
        activation_function=torch.nn.Identity(),
        init_weight=weight,
    )
    for layer in (dense, Normalize()):
        model.append(layer.to(model.device))


def _unit(vectors: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled.astype(np.float32)
