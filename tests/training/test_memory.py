"""Memory: the error when there is too little, and the lines of the log about settings, speed and memory."""

import math
from pathlib import Path

import pytest
import torch

from retune.core.errors import InputError
from retune.models.directory import load_model
from retune.training.load import load_for_training
from retune.training.losses import RankingLoss
from retune.training.memory import is_out_of_memory, memory_advice, peak_gb
from tests.support.training_task import params, task
from tests.support.trainings import LORA, train

CPU_ERROR = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.mark.parametrize("error", [torch.OutOfMemoryError(), MemoryError(), RuntimeError(CPU_ERROR)])
def test_out_of_memory_is_one_line_of_advice(
    error: Exception, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(RankingLoss, "forward", fail)
    with pytest.raises(
        InputError, match="^out of memory on cpu with batch_size 8 and 512 tokens per forward pass; .*$"
    ):
        train(tiny_model, tmp_path)


def test_cpu_without_memory_raises_what_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**55, dtype=torch.float64)
    assert is_out_of_memory(raised.value)
    assert not is_out_of_memory(RuntimeError("shapes differ"))


def test_advice_counts_bytes_and_names_what_is_left_to_change(tiny_model: Path) -> None:
    model = load_model(tiny_model, "cpu")
    num_parameters = sum(values.numel() for values in model.parameters())
    layers = 2 * (4 * (32 + 32) + (32 + 64) + (64 + 32)) + (32 + 32)  # two layers and the pooler
    gigabytes = [f"{12 * count / 2**30:.2g} GB" for count in (num_parameters, 16 * layers)]
    advice = memory_advice(model, params(batch_size=8), 4096)
    assert f"trained parameters take {gigabytes[0]} ({gigabytes[1]} with method: lora, rank 16)" in advice
    assert advice.endswith("; set gradient_caching: true, or with it compute.token_budget: 2048, or batch_size: 4")
    assert memory_advice(model, params(gradient_caching=True), 4096).endswith("; set compute.token_budget: 2048")
    assert memory_advice(model, params(gradient_caching=True), 512).endswith("; set shorter maximum lengths")
    assert "with method: lora" not in memory_advice(model, params(**LORA), 4096)


def test_lora_trains_as_many_parameters_as_the_advice_says(tiny_model: Path, tmp_path: Path) -> None:
    lora = LORA["lora"] | {"rank": 16, "target_modules": "all-linear"}
    model = load_for_training(task(tiny_model, tmp_path, **LORA | {"lora": lora}), torch.device("cpu"), torch.float32)
    num_trained = sum(values.numel() for values in model.parameters() if values.requires_grad)
    said = memory_advice(load_model(tiny_model, "cpu"), params(), 512)
    assert f"({12 * num_trained / 2**30:.2g} GB with method: lora" in said


@pytest.mark.slow
def test_log_has_the_settings_and_the_speed_and_memory(
    tiny_model: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO", "retune")
    monkeypatch.setenv("RETUNE_DATA_WORKERS", "1")
    train(tiny_model, tmp_path, attention="sdpa", dropout=0.25)
    profile, end = (next(line for line in caplog.messages if line.startswith(start)) for start in ("training", "train"))
    assert profile.startswith("training on cpu (")
    threads = f"threads: {torch.get_num_threads()}): float32, sdpa attention, 1 data workers, dropout 0.25"
    assert profile.endswith(f"{threads}, 512 tokens per forward pass, 3 batches per epoch")
    bar = capfd.readouterr().err
    assert "tokens_s=" in bar
    assert "memory_gb=" in bar
    end = next(line for line in caplog.messages if line.startswith("trained 6 steps: "))
    numbers = [float(word.replace(",", "")) for word in end.split() if word[0].isdigit()]
    assert len(numbers) == 4
    seconds, speed, memory = numbers[1:]
    # 24 pairs, each two epochs; a query has 2 words, a document 3, a batch 8 queries, 8 to 16 documents; 2 special
    assert speed * seconds * 6 * 1.02 >= 2 * 24 * (4 + 5)
    assert speed * seconds * 6 * 0.98 <= 2 * 24 * (4 + 5 + 5)
    assert 0 < memory <= math.ceil(100 * peak_gb(torch.device("cpu"))) / 100


def test_attention_is_as_chosen_or_refused_with_the_reason(tiny_model: Path, tmp_path: Path) -> None:
    for attention, expected in (("auto", "eager"), ("sdpa", "sdpa"), ("eager", "eager")):
        model = load_for_training(task(tiny_model, tmp_path, attention=attention), torch.device("cpu"), torch.float32)
        assert model[0].model.config._attn_implementation == expected
    with pytest.raises(InputError, match=r"^attention: flash_attention_2: .*FlashAttention2.*; use auto$"):
        train(tiny_model, tmp_path, attention="flash_attention_2")
