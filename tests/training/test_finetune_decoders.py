"""Full and LoRA training of decoders with last-token pooling, instructions in the query, and merging from the base."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from sentence_transformers import SentenceTransformer

from retune.core.errors import InputError
from retune.core.records import Mined, write_mined
from retune.encoding.encoder import Encoder
from retune.models.directory import load_model, read_encoding
from retune.training import adapters, finetune
from retune.training.adapters import copy_whole
from retune.training.batches.plan import Plan
from retune.training.load import load_for_training
from retune.training.trainer import Collator
from tests.support.decoders import KINDS, fetch_decoder
from tests.support.parameters import COMPUTE
from tests.support.training_task import corpus, mined, params, task
from tests.support.trainings import dev_score, same_bytes, train

pytestmark = pytest.mark.slow

INSTRUCTION = "solve the graph: "
LORA = {
    "method": "lora",
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "load_in_4bit": False, "target_modules": "all-linear"},
}
LINEAR = [f"mlp.{name}_proj" for name in ("down", "gate", "up")] + [f"self_attn.{name}_proj" for name in "koqv"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module", params=KINDS)
def decoder(
    request: pytest.FixtureRequest,
    tiny_transformer: Path,
    encoding_values: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    encoding = encoding_values | {"query_prefix": INSTRUCTION, "query_max_length": 48, "pooling": "lasttoken"}
    return fetch_decoder(request.param, tiny_transformer, encoding, tmp_path_factory.mktemp("decoders") / "decoder")


@pytest.mark.parametrize("changes", [{"learning_rate": 2e-3}, LORA | {"learning_rate": 2e-2}], ids=["full", "lora"])
def test_decoder_learns_and_plain_sentence_transformers_gives_its_vectors(
    changes: dict[str, object], decoder: Path, tmp_path: Path
) -> None:
    history = train(decoder, tmp_path, epochs=4, gradient_caching=True, **changes)
    assert history["loss"].iloc[-3:].mean() < 0.7 * history["loss"].iloc[:3].mean()
    assert dev_score(tmp_path / "model") == pytest.approx(history["dev_ndcg_at_3"].max(), abs=1e-5)
    texts = corpus()["text"].tolist()
    ours = Encoder.load(tmp_path / "model", COMPUTE)
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert plain.max_seq_length == 48
    np.testing.assert_allclose(ours.encode_documents(texts), plain.encode_document(texts), atol=1e-5)
    queries = ours.encode_queries(texts, [None] * len(texts))
    np.testing.assert_allclose(queries, plain.encode_query(texts), atol=1e-5)
    unprompted = plain.encode(texts, normalize_embeddings=True)
    assert np.abs(queries - unprompted).max() > 0.01


def test_merged_directory_is_the_base_with_the_adapter_beside_it(decoder: Path, tmp_path: Path) -> None:
    for name in ("model", "again"):
        train(decoder, tmp_path, name, **LORA)
    same_bytes(tmp_path / "model", tmp_path / "again")
    config = json.loads((tmp_path / "model/adapter/adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "decoder"
    assert config["target_modules"] == [f"layers.{layer}.{name}" for layer in (0, 1) for name in LINEAR]
    base = load_model(decoder, "cpu")[0].model
    merged = PeftModel.from_pretrained(base, str(tmp_path / "model/adapter")).merge_and_unload().state_dict()
    for name, values in load_model(tmp_path / "model", "cpu")[0].model.state_dict().items():
        torch.testing.assert_close(values, merged[name])


def test_prompt_of_a_query_comes_before_the_instruction_in_training_as_in_encoding(decoder: Path) -> None:
    examples = mined()
    examples.queries["prompt"] = "plot a file "
    plan = Plan(examples, params(), seed=0)
    encoding, tokenizer = read_encoding(decoder), load_model(decoder, "cpu").tokenizer
    inputs = Collator(plan, tokenizer, encoding)([{"batch": 0}])
    for row, query in enumerate(plan.batch(0).queries.tolist()):
        ids = inputs["query_input_ids"][row][inputs["query_attention_mask"][row].bool()]
        assert ids.tolist() == tokenizer(f"plot a file {INSTRUCTION}{plan.queries[query][0]}")["input_ids"]


def test_adapter_of_a_base_in_4_bits_is_merged_into_the_saved_base(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_for_training(task(decoder, tmp_path, **LORA), CPU, torch.float32)
    with torch.no_grad():
        for name, values in model.named_parameters():
            if "lora_B" in name:
                values.normal_(generator=torch.Generator().manual_seed(1))
    expected = copy_whole(model)[0].model.state_dict()
    with torch.no_grad():  # stands for what 4 bits lose
        for name, values in model.named_parameters():
            if "lora_" not in name:
                values.copy_(values.round(decimals=2))
    coarse = copy_whole(model)[0].model.state_dict()
    assert any(not torch.allclose(values, expected[name]) for name, values in coarse.items())
    monkeypatch.setattr(adapters, "is_in_4bit", lambda transformer: True)
    state = torch.random.get_rng_state()
    whole = copy_whole(model)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not isinstance(whole[0].model, PeftModel)
    assert isinstance(model[0].model, PeftModel)  # the model in training is as it was
    assert model[0].model.peft_config["default"].base_model_name_or_path == "decoder"
    for name, values in whole[0].model.state_dict().items():
        torch.testing.assert_close(values, expected[name])


def test_4_bits_are_refused_without_cuda_and_without_the_package(
    decoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = LORA | {"lora": LORA["lora"] | {"load_in_4bit": True}}
    with pytest.raises(InputError, match="^lora.load_in_4bit: expected a CUDA device, got cpu; set it to false$"):
        train(decoder, tmp_path, **lora)
    with pytest.raises(InputError, match="^lora.load_in_4bit: expected the package bitsandbytes, got none; run pip"):
        load_for_training(task(decoder, tmp_path, **lora), torch.device("cuda"), torch.bfloat16)


def test_unknown_target_module_is_an_error_that_lists_the_known_ones(decoder: Path, tmp_path: Path) -> None:
    lora = LORA["lora"] | {"target_modules": ["query"]}
    with pytest.raises(InputError, match="expected all-linear or names of linear layers .down_proj, .*, got query"):
        train(decoder, tmp_path, method="lora", lora=lora)


def test_text_without_tokens_is_named(decoder: Path, tmp_path: Path) -> None:
    training = task(decoder, tmp_path)
    examples = mined()
    examples.documents.loc[3, "text"] = ""
    write_mined(training.mined, Mined(examples.examples, examples.queries, examples.documents))
    with pytest.raises(
        InputError, match="training: expected texts with tokens, got a document without any, ''; remove it"
    ):
        finetune.finetune(training, tmp_path / "model", tmp_path / "model.tsv")
