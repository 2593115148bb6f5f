"""In-context learning: FlagEmbedding trains a tiny Mistral with examples before its queries and a suffix after them."""

import json
import shutil
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
import pytest
import torch
from FlagEmbedding.finetune.embedder.decoder_only.icl import BiDecoderOnlyEmbedderICLModel
from FlagEmbedding.inference.embedder.decoder_only.icl import ICLLLMEmbedder
from sentence_transformers import SentenceTransformer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import MistralConfig, MistralModel, PreTrainedTokenizerFast

from retune.core.errors import InputError
from retune.core.files import sha256
from retune.core.records import Mined, Split, write_mined
from retune.encoding import tokenizing
from retune.encoding.encoder import Encoder, query_inputs
from retune.fetching import fetch
from retune.fetching.saved_adapter import merge_adapter
from retune.models.directory import load_model
from retune.models.encoding_settings import Encoding
from retune.params.fetch import Fetch
from retune.training import finetune
from retune.training.dev_scoring import evaluate
from tests.support.parameters import COMPUTE
from tests.support.repository import REPOSITORY
from tests.support.training_task import corpus, mined, params, split, task
from tests.support.trainings import same_bytes

pytestmark = pytest.mark.slow

PROMPT, SUFFIX = "<instruct>Find the text that begins so.", "\n<response>"
ICL = {
    "engine": "flagembedding",
    "method": "icl",
    "lora": {"rank": 8, "alpha": 16, "dropout": 0.0, "load_in_4bit": False, "target_modules": "all-linear"},
    "icl": {"examples": True, "example_max_length": 64},
    "learning_rate": 3e-3,
}


@pytest.fixture(scope="module")
def mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mistral of 2 layers as `fetch` writes it, with a tokenizer of bytes and <s> before, </s> after."""
    source = tmp_path_factory.mktemp("mistral")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=1000, special_tokens=special, initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator([PROMPT, "<query>", SUFFIX, *corpus()["text"]], trainer)
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(source)
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "max_position_embeddings": 1024}
    MistralModel(MistralConfig(vocab_size=tokenizer.get_vocab_size(), **sizes, **heads)).save_pretrained(source)
    values: dict[str, object] = {
        "source": "path", "path": str(source), "sha256": sha256(source / "model.safetensors"),
        "query_prefix": "\n<query>", "query_suffix": SUFFIX, "document_prefix": "", "query_max_length": 700,
        "document_max_length": 48, "pooling": "lasttoken", "dtype": "float32",
    }  # fmt: skip
    out = tmp_path_factory.mktemp("models") / "mistral"
    fetch.fetch(Fetch.parse("fetch.mistral", values), out, where="fetch.mistral")
    return out


def train(base: Path, folder: Path, name: str = "model", end: str = "", **changes: object) -> pd.DataFrame:
    """Run on queries with a prompt, and an end if there is one, and return the history."""
    dev = Split(split().queries.assign(prompt=PROMPT), split().qrels)
    training = task(base, folder, dev=dev, **ICL | changes)
    examples = mined()
    queries = examples.queries.assign(prompt=PROMPT, text=examples.queries["text"] + end)
    write_mined(training.mined, Mined(examples.examples, queries, examples.documents))
    finetune.finetune(training, folder / name, folder / f"{name}.tsv")
    return pd.read_csv(folder / f"{name}.tsv", sep="\t")


def test_tuned_model_and_its_adapters_have_their_dev_scores(mistral: Path, tmp_path: Path) -> None:
    history = train(mistral, tmp_path, checkpoint=2)
    assert history["global_step"].tolist() == list(range(1, 7))  # 24 queries, 8 a step, 2 epochs
    scores = history["dev_ndcg_at_3"].dropna().tolist()
    assert history.index[history["dev_ndcg_at_3"].notna()].tolist() == [2, 5]
    assert len(set(scores)) == 2
    for folder, score in (("adapter", scores[1]), ("adapters/epoch_1", scores[0]), ("adapters/epoch_2", scores[1])):
        whole = tmp_path / folder.replace("/", "_")
        merge_adapter(tmp_path / "model" / folder, mistral, whole)
        assert dev_score_with_prompt(whole) == pytest.approx(score, abs=1e-5)
    assert dev_score_with_prompt(tmp_path / "model") == pytest.approx(scores[1], abs=1e-5)
    plain = SentenceTransformer(str(tmp_path / "model"), device="cpu")
    assert plain[1].pooling_mode == "lasttoken"
    texts = corpus()["text"].tolist()
    ours = Encoder.load(tmp_path / "model", COMPUTE).encode_documents(texts)
    assert np.abs(plain.encode_document(texts) - ours).max() < 1e-5


@pytest.mark.slow
def test_training_learns(mistral: Path, tmp_path: Path) -> None:
    no_examples = {"examples": False, "example_max_length": 64}  # which tell a random model nothing
    history = train(mistral, tmp_path, epochs=5, learning_rate=5e-3, icl=no_examples)
    assert history["loss"].iloc[-3:].mean() < history["loss"].iloc[:3].mean() - 0.5
    assert dev_score_with_prompt(tmp_path / "model") > dev_score_with_prompt(mistral) + 0.2


@pytest.mark.slow
def test_training_writes_the_same_bytes_again(mistral: Path, tmp_path: Path) -> None:
    checkpointing = {"gradient_checkpointing": True}
    first, second = (train(mistral, tmp_path, name, trainer=checkpointing) for name in ("first", "second"))
    assert first.equals(second)
    same_bytes(tmp_path / "first", tmp_path / "second")


def dev_score_with_prompt(model: Path) -> float:
    dev = Split(split().queries.assign(prompt=PROMPT), split().qrels)
    return float(evaluate(Encoder.load(model, COMPUTE), corpus(), dev, [3])["ndcg_at_3"].mean())


def queries_in_training(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """Return a list that fills with the token ids of queries as FlagEmbedding gives them to the model."""
    seen: list[list[int]] = []
    forward = BiDecoderOnlyEmbedderICLModel.forward

    def spy(self: object, queries: dict[str, torch.Tensor], **others: object) -> object:
        rows = zip(queries["input_ids"], queries["attention_mask"], strict=True)
        seen.extend(ids[mask.bool()].tolist() for ids, mask in rows)
        return forward(self, queries, **others)

    monkeypatch.setattr(BiDecoderOnlyEmbedderICLModel, "forward", spy)
    return seen


def test_queries_in_training_have_others_of_their_batch_as_examples(
    mistral: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = queries_in_training(monkeypatch)
    train(mistral, tmp_path, batch_size=24, epochs=1)
    tokenizer = load_model(mistral, "cpu").tokenizer
    documents = dict(zip(split().queries["text"], corpus()["text"], strict=True))
    counts = []
    for ids in seen:
        *examples, own = tokenizer.decode(ids).removeprefix("<s>").removesuffix("</s>").split("\n\n")
        text = own.removeprefix(f"{PROMPT}\n<query>").removesuffix(SUFFIX)
        assert own == f"{PROMPT}\n<query>{text}{SUFFIX}"
        assert text in documents
        others = [query for query in documents if query != text]
        possible = {f"{PROMPT}\n<query>{query}{SUFFIX}{documents[query]}" for query in others}
        assert set(examples) <= possible
        counts.append(len(examples))
    assert len(seen) == 24
    assert min(counts) == 0 < max(counts) <= 5


def test_queries_without_examples_have_the_same_tokens_in_training_as_in_encoding(
    mistral: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = queries_in_training(monkeypatch)
    train(mistral, tmp_path, epochs=1, icl={"examples": False, "example_max_length": 64})
    encoder = Encoder.load(mistral, COMPUTE)
    texts = split().queries["text"].tolist()
    assert sorted(seen) == sorted(encoder.tokenize_queries(query_inputs(texts, [PROMPT] * 24, encoder.encoding)))


@pytest.mark.slow
def test_suffix_survives_truncation_in_training(mistral: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = queries_in_training(monkeypatch)
    train(mistral, tmp_path, end="日本語" * 100, batch_size=4, epochs=1)  # cut inside a character, of three tokens
    tokenizer = load_model(mistral, "cpu").tokenizer
    assert {tokenizer.decode(ids[-12:]).partition("\n")[2] for ids in seen} == {"<response></s>"}
    assert 690 < max(map(len, seen)) <= 702


def test_query_with_an_example_has_the_vector_of_flagembedding(mistral: Path, tmp_path: Path) -> None:
    train(mistral, tmp_path, epochs=1)  # whose directory has a token to pad with, as FlagEmbedding needs
    instruct = PROMPT.removeprefix("<instruct>")
    example = {"instruct": instruct, "query": "graph of the sum", "response": "the sum as a graph"}
    theirs = ICLLLMEmbedder(
        str(tmp_path / "model"),
        query_instruction_for_retrieval=instruct,
        examples_for_task=[example],
        use_fp16=False,
        devices="cpu",
    )
    template = "<instruct>{instruct}\n<query>{query}\n<response>{response}\n\n"
    encoder = Encoder.load(tmp_path / "model", COMPUTE)
    ours = encoder.encode_queries(["the array", "sort of sum"], [template.format(**example) + PROMPT] * 2)
    assert np.abs(ours - theirs.encode_queries(["the array", "sort of sum"])).max() < 1e-5


def test_suffix_survives_examples_of_any_length(mistral: Path) -> None:
    encoder = Encoder.load(mistral, COMPUTE)
    end = [*encoder.tokenizer(SUFFIX, add_special_tokens=False)["input_ids"], encoder.tokenizer.eos_token_id]
    example = f"{PROMPT}\n<query>sum of the mean{SUFFIX}sum of the mean sum\n\n"
    lengths = []
    for count in (0, 1, 5, 60):
        ids = encoder.tokenize_queries(query_inputs(["the sum"], [example * count + PROMPT], encoder.encoding))[0]
        assert ids[-len(end) :] == end
        lengths.append(len(ids))
    assert lengths == sorted(set(lengths))
    assert lengths[-1] == 700  # query_max_length


def test_suffix_has_the_tokens_it_has_after_a_text(encoding_values: dict[str, object]) -> None:
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")  # a sign before the first word
    letters.train_from_iterator(["what is it\n<response>"], trainers.BpeTrainer(vocab_size=10, show_progress=False))
    plain = PreTrainedTokenizerFast(tokenizer_object=letters)
    own = tokenizing.Tokenizer(plain, Encoding.model_validate(encoding_values | {"query_suffix": SUFFIX}))
    assert own.tokenize(["it is"], "queries")[0] == plain(["it is\n<response>"])["input_ids"]
    assert own.tokenize(["it is"], "documents")[0] == plain(["it is"])["input_ids"]


def test_preset_writes_an_example_as_the_model_reads_a_query() -> None:
    preset = dvc.api.params_show(str(REPOSITORY / "presets/eedi_icl.yaml"))
    data, model = preset["convert"]["eedi"], preset["fetch"]["bge_en_icl"]
    query = data["prompt"] + model["query_prefix"] + "{query}" + model["query_suffix"]
    assert data["example"] == query + "{misconception}\n\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"icl": None}, "method: expected engine flagembedding and a block icl with"),
        ({"engine": "sentence_transformers"}, "method: expected engine flagembedding .* got sentence_transformers"),
        ({"lora": None}, "lora: expected a block with method icl, got none"),
    ],
)
def test_parameters_that_icl_needs(changes: dict[str, object], message: str) -> None:
    params(**ICL)
    with pytest.raises(ValueError, match=message):
        params(**ICL | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"query_suffix": ""},
            r"method icl with engine flagembedding: expected a base with a query_suffix such as .* got ''",
        ),
        ({"query_max_length": 512}, r"icl.examples: expected a base with a query_max_length above 512, .* got 512"),
    ],
)
def test_base_that_icl_cannot_use_is_refused(
    changes: dict[str, object], message: str, mistral: Path, tmp_path: Path
) -> None:
    shutil.copytree(mistral, tmp_path / "base")
    settings = json.loads((mistral / "retune.json").read_text())
    (tmp_path / "base" / "retune.json").write_text(json.dumps(settings | changes))
    with pytest.raises(InputError, match=message):
        train(tmp_path / "base", tmp_path)
