"""Embeddings: sums of signs by hand, and a sentence model that is made on the spot and read from its folder."""

from __future__ import annotations

import sys
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pytest

from mnpu.errors import ConfigError, PluginError
from mnpu_data_sentiment import embeddings
from mnpu_data_sentiment.embeddings import COMPONENTS, component, hashed, projected
from tests.data_sentiment.world import chatter, decisions, posts, values

TEXTS = ["profit beats", "the loss widens", "profit", "the profit beats the loss", "unknown words only"]


def test_a_single_word_is_the_signs_of_its_hash() -> None:
    bits = int.from_bytes(blake2b(b"profit", digest_size=8, key=b"mnpu-data-sentiment").digest(), "little")
    assert hashed(["Profit"])[0].tolist() == [1.0 if bits >> c & 1 else -1.0 for c in range(COMPONENTS)]


def test_two_words_are_their_signs_and_that_of_the_pair() -> None:
    pair = hashed(["profit beats"])[0] * np.sqrt(3) - hashed(["profit"])[0] - hashed(["beats"])[0]
    np.testing.assert_allclose(np.abs(pair), 1.0)
    assert not np.allclose(hashed(["beats profit"])[0], hashed(["profit beats"])[0])


def test_a_text_is_the_same_whatever_stands_beside_it() -> None:
    together = hashed(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(hashed([text])[0], row)


def test_texts_that_share_words_are_closer(rng: np.random.Generator) -> None:
    words = [f"{a}{b}" for a in "abcdefghij" for b in "abcdefghij"]
    text = rng.choice(words, size=20, replace=False).tolist()
    near = [*text[:17], *rng.choice(words, size=3).tolist()]
    far = rng.choice(sorted(set(words) - set(text)), size=20, replace=False).tolist()
    one, other, third = hashed([" ".join(words) for words in (text, near, far)])
    assert np.sum((one - other) ** 2) < 0.6 * np.sum((one - third) ** 2)


def test_a_text_without_words_has_no_place() -> None:
    assert np.isnan(component(["", "..."], 0)).all()
    assert component([], 0).shape == (0,)


def test_many_texts_are_forgotten_and_computed_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "REMEMBERED", 3)
    remembered = embeddings.Remembered(hashed)
    for _ in range(2):
        np.testing.assert_array_equal(remembered(TEXTS), hashed(TEXTS))
        np.testing.assert_array_equal(remembered(TEXTS[:2]), hashed(TEXTS[:2]))


def test_vectors_are_projected_at_length_one(rng: np.random.Generator) -> None:
    vectors = rng.normal(size=(50, 16))
    vectors[3] = 0.0
    found = projected(vectors)
    np.testing.assert_allclose(projected(vectors * 7.0), found)
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(projected(vectors[10:12]), found[10:12])  # to the last bit
    directions = projected(np.eye(16))
    rest = np.delete(np.arange(50), 3)
    unit = vectors[rest] / np.linalg.norm(vectors[rest], axis=1, keepdims=True)
    np.testing.assert_allclose(found[rest], unit @ directions)


def test_a_folder_that_is_not_there_is_named_and_nothing_is_downloaded() -> None:
    panel, side = chatter(1, days=10)
    with pytest.raises(ConfigError, match=r"minishlab/potion.*already on this machine.*Nothing is downloaded"):
        values("embedding", panel, side, model="minishlab/potion-base-8M")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model2vec", None)
    with pytest.raises(PluginError, match=r'pip install "mnpu-data-sentiment\[embeddings\]"') as refused:
        embeddings.sentences(str(tmp_path))
    assert str(tmp_path) in str(refused.value)


VOCABULARY = ["[UNK]", "profit", "beats", "loss", "widens", "the"]


@pytest.fixture
def model(tmp_path: Path, rng: np.random.Generator) -> str:
    """A static model of six words, written as model2vec writes any other."""
    pytest.importorskip("model2vec", reason='model2vec is not installed: pip install "mnpu-data-sentiment[embeddings]"')
    from model2vec import StaticModel
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(VOCABULARY)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    vectors = rng.normal(size=(len(VOCABULARY), 8)).astype(np.float32)
    StaticModel(vectors, tokenizer).save_pretrained(tmp_path / "tiny")
    np.save(tmp_path / "vectors.npy", vectors)
    return str(tmp_path / "tiny")


def test_a_model_in_a_folder_is_read_without_a_network(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    def refuse(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    vectors = np.load(Path(model).parent / "vectors.npy").astype(float)
    mean = (vectors[VOCABULARY.index("profit")] + vectors[VOCABULARY.index("beats")]) / 2
    found = embeddings.sentences(model)(["profit beats"])
    np.testing.assert_allclose(found[0], projected(mean[None])[0], rtol=1e-5)


def test_a_sentence_is_the_same_whatever_stands_beside_it(model: str) -> None:
    encode = embeddings.sentences(model)
    together = encode(TEXTS * 3)
    for i, text in enumerate(TEXTS * 3):
        np.testing.assert_array_equal(encode([text])[0], together[i])


def test_a_model_gives_columns_like_any_other(model: str) -> None:
    panel = decisions(["2020-03-03 10:00"])
    side = posts(("2020-03-03 10:00", "A", "profit beats"), ("2020-03-03 10:00", "A", "loss widens"))
    expected = embeddings.sentences(model)(["profit beats", "loss widens"])[:, 5].mean()
    assert values("embedding", panel, side, component=5, model=model)[0, 0] == pytest.approx(expected)
    assert values("market_embedding", panel, side, component=5, model=model)[0, 2] == pytest.approx(expected)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("model2vec", reason='model2vec is not installed: pip install "mnpu-data-sentiment[embeddings]"')
    with pytest.raises(PluginError, match="cannot be read as a sentence model"):
        embeddings.sentences(str(tmp_path))
