"""The rungs without a torch module: equal to their reference, saved without pickle, bit-equal after a reload."""

from __future__ import annotations

import json

import numpy as np
import pytest

import nlpladder
from helpers import BAD, GOOD, NEUTRAL, review_rows
from nlpladder.errors import DataError, ModelError
from nlpladder.models.counts.linear import LinearTextClassifier
from nlpladder.models.counts.majority import MajorityClassifier
from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier
from nlpladder.models.vectors.mean_vectors import MeanVectorsClassifier
from nlpladder.protocols import TextClassifier

LABELS = ("negative", "positive", "odd")


def data(size=150, classes=3, seed=0):
    rows = review_rows(size, seed=seed, labels=LABELS[:classes])
    return [text for text, _ in rows], [label for _, label in rows]


def multi_hot(labels, classes=3):
    rows = np.eye(classes, dtype=int)[labels]
    rows[::4, 0] = 1
    return rows


BUILDERS = {
    "majority": lambda **more: MajorityClassifier(**more),
    "multinomial": lambda **more: NaiveBayesClassifier(variant="multinomial", **more),
    "complement": lambda **more: NaiveBayesClassifier(variant="complement", **more),
    "logistic": lambda **more: LinearTextClassifier(solver="logistic", vectorizer={"ngram_range": (1, 2)}, **more),
    "svm": lambda **more: LinearTextClassifier(solver="svm", **more),
    "mean_vectors": lambda **more: MeanVectorsClassifier(vector_size=8, epochs=2, **more),
}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("task", ["single_label", "multi_label"])
def test_reload_answers_bit_for_bit_and_probabilities_are_sound(name, task, tmp_path):
    texts, labels = data()
    model = BUILDERS[name](label_names=LABELS, task=task)
    model.fit(texts, multi_hot(labels) if task == "multi_label" else labels, validation=None)
    assert isinstance(model, TextClassifier)
    hostile = [
        *texts[:5],
        "",
        "🙂 never seen",
        "\x00\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    ]
    probabilities = model.predict_proba(hostile)
    assert probabilities.shape == (len(hostile), 3)
    assert np.isfinite(probabilities).all()
    assert (probabilities >= 0).all()
    assert (probabilities <= 1).all()
    if task == "single_label":
        np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    model.save_pretrained(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert (
        {"config.json", "model.safetensors"}
        <= files
        <= {"config.json", "model.safetensors", "vocabulary.json", "README.md"}
    )
    reloaded = nlpladder.load(tmp_path / "model")
    assert type(reloaded) is type(model)
    assert np.array_equal(reloaded.predict_proba(hostile), probabilities)
    assert reloaded.num_parameters() == model.num_parameters()


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "majority"])
@pytest.mark.parametrize("classes", [2, 3])
def test_every_rung_above_the_floor_learns_the_toy(name, classes, tmp_path):
    texts, labels = data(classes=classes, size=240)
    model = BUILDERS[name](label_names=LABELS[:classes])
    if name == "mean_vectors":
        model.vectors = str(tmp_path / "vectors.txt")
        words = [*GOOD, *BAD, "odd", "strange", "weird", *NEUTRAL]
        rows = np.random.default_rng(0).normal(size=(len(words), 6))
        rows[:5, 0] += 9
        rows[5:10, 1] += 9
        lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(words, rows, strict=True)]
        (tmp_path / "vectors.txt").write_text("\n".join(lines))
    model.fit(texts, labels, validation=data(classes=classes, seed=1))
    test_texts, test_labels = data(classes=classes, seed=2)
    assert (model.predict_proba(test_texts).argmax(1) == test_labels).mean() > 0.95


@pytest.mark.parametrize("variant", ["multinomial", "complement"])
@pytest.mark.parametrize("classes", [2, 3])
def test_naive_bayes_equals_scikit_learns(variant, classes):
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import ComplementNB, MultinomialNB

    texts, labels = data(classes=classes)
    reference = {"multinomial": MultinomialNB, "complement": ComplementNB}[variant](alpha=0.5)
    vectorizer = CountVectorizer()
    reference.fit(vectorizer.fit_transform(texts), labels)
    ours = NaiveBayesClassifier(label_names=LABELS[:classes], variant=variant, alpha=0.5).fit(texts, labels)
    expected = reference.predict_proba(vectorizer.transform(texts))
    np.testing.assert_allclose(ours.predict_proba(texts), expected, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_regression_equals_scikit_learns_on_the_same_features(classes):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    texts, labels = data(classes=classes)
    vectorizer = TfidfVectorizer(ngram_range=(1, 2))
    solver = "liblinear" if classes == 2 else "lbfgs"
    reference = LogisticRegression(C=3.0, solver=solver, max_iter=2000, random_state=0)
    reference.fit(vectorizer.fit_transform(texts), labels)
    ours = LinearTextClassifier(label_names=LABELS[:classes], c_grid=[3.0], vectorizer={"ngram_range": (1, 2)})
    ours.fit(texts, labels)
    np.testing.assert_allclose(
        ours.predict_proba(texts), reference.predict_proba(vectorizer.transform(texts)), atol=1e-9
    )


def test_c_is_chosen_on_the_validation_split_by_log_loss():
    texts, labels = data(classes=2, size=60)
    held_out = data(classes=2, seed=5, size=60)
    grid = (0.01, 1.0, 100.0)
    chosen = LinearTextClassifier(label_names=LABELS[:2], c_grid=grid).fit(texts, labels, validation=held_out)
    losses = {}
    for c in grid:
        model = LinearTextClassifier(label_names=LABELS[:2], c_grid=[c]).fit(texts, labels)
        losses[c] = -np.log(model.predict_proba(held_out[0])[np.arange(60), held_out[1]]).mean()
    assert chosen.c_ == min(losses, key=losses.get)


def test_svm_probabilities_are_calibrated_on_unseen_margins():
    texts, labels = data(classes=2, size=1000)
    generator = np.random.default_rng(0)
    noisy = np.where(generator.random(1000) < 0.8, labels, 1 - np.array(labels))
    model = LinearTextClassifier(label_names=LABELS[:2], solver="svm", c_grid=[0.01]).fit(texts, noisy)
    test_texts, test_labels = data(classes=2, size=400, seed=3)
    noisy_test = np.where(generator.random(400) < 0.8, test_labels, 1 - np.array(test_labels))
    probabilities = model.predict_proba(test_texts)
    accuracy = (probabilities.argmax(1) == noisy_test).mean()
    assert probabilities.max(1).mean() == pytest.approx(accuracy, abs=0.08)
    margins = model.decision_function(test_texts)[:, 0]
    uncalibrated = np.maximum(1 / (1 + np.exp(-5 * margins)), 1 / (1 + np.exp(5 * margins)))
    assert abs(uncalibrated.mean() - accuracy) > abs(probabilities.max(1).mean() - accuracy)


def test_a_class_that_training_never_shows_gets_no_probability():
    texts, labels = data(classes=2)
    for solver in ("logistic", "svm"):
        model = LinearTextClassifier(label_names=LABELS, solver=solver).fit(texts, labels)
        assert (model.predict_proba(texts).argmax(1) < 2).all()


def test_mean_vectors_are_the_same_for_the_same_seed_and_another_for_another():
    texts, labels = data()

    def build(seed):
        return MeanVectorsClassifier(label_names=LABELS, vector_size=8, epochs=2, seed=seed).fit(texts, labels)

    first, second, other = build(0), build(0), build(1)
    assert np.array_equal(first.embeddings_, second.embeddings_)
    assert not np.array_equal(first.embeddings_, other.embeddings_)


@pytest.mark.parametrize("header", [True, False])
def test_mean_vectors_read_word2vec_and_glove_text_files(tmp_path, header):
    words = ["good", "bad", "the"]
    lines = [
        f"{word} {' '.join(str(float(index + column)) for column in range(4))}" for index, word in enumerate(words)
    ]
    file = tmp_path / "vectors.txt"
    file.write_text("\n".join(["3 4"] * header + lines) + "\n")
    texts, labels = data(classes=2)
    model = MeanVectorsClassifier(label_names=LABELS[:2], vectors=str(file)).fit(texts, labels)
    assert model.vocabulary() == words
    assert model.embeddings_[1].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_bad_vectors_are_refused_with_their_path(tmp_path):
    file = tmp_path / "broken.txt"
    file.write_text("3 4\ngood 1 2\n")
    with pytest.raises(ModelError, match=r"broken\.txt"):
        MeanVectorsClassifier(label_names=LABELS[:2], vectors=str(file)).fit(*data(classes=2))


@pytest.mark.parametrize("name", BUILDERS)
def test_one_bare_text_or_none_is_refused_instead_of_read_letter_by_letter(name):
    texts, labels = data()
    model = BUILDERS[name](label_names=LABELS).fit(texts, labels)
    with pytest.raises(DataError, match=r"write \[text\]"):
        model.predict_proba("my parcel is late")
    with pytest.raises(DataError, match="Text 1 .* NoneType"):
        model.predict_proba(["good", None])


@pytest.mark.parametrize("name", BUILDERS)
def test_regression_is_refused_with_the_rungs_that_do_it(name):
    with pytest.raises(ModelError, match="bilstm"):
        BUILDERS[name](label_names=(), task="regression")


def test_targets_that_do_not_fit_are_refused():
    model = MajorityClassifier(label_names=LABELS)
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        model.fit(["a", "b"], [0])
    with pytest.raises(DataError, match=r"0\.\.2"):
        model.fit(["a", "b"], [0, 3])
    with pytest.raises(DataError, match="0/1 rows"):
        MajorityClassifier(label_names=LABELS, task="multi_label").fit(["a"], [[0, 2, 1]])


def test_a_misspelt_vectoriser_setting_is_named():
    with pytest.raises(ModelError, match="Did you mean 'ngram_range'"):
        LinearTextClassifier(label_names=LABELS, vectorizer={"ngram_rang": (1, 2)})


@pytest.mark.parametrize(
    "damage", ["truncated weights", "broken config", "no weights", "other type", "missing vocabulary"]
)
def test_damaged_folders_are_explained(damage, tmp_path):
    folder = tmp_path / "model"
    NaiveBayesClassifier(label_names=LABELS).fit(*data()).save_pretrained(folder)
    weights, config = folder / "model.safetensors", folder / "config.json"
    if damage == "truncated weights":
        weights.write_bytes(weights.read_bytes()[:-50])
    elif damage == "broken config":
        config.write_text("{")
    elif damage == "no weights":
        weights.unlink()
    elif damage == "other type":
        config.write_text(json.dumps({**json.loads(config.read_text()), "model_type": "nlpladder_linear"}))
    else:
        (folder / "vocabulary.json").unlink()
    with pytest.raises(ModelError, match="model"):
        nlpladder.load(folder)


def test_a_missing_folder_names_the_nearest(tmp_path):
    MajorityClassifier(label_names=LABELS).fit(*data()).save_pretrained(tmp_path / "majority")
    with pytest.raises(ModelError, match="Did you mean '.*majority'"):
        nlpladder.load(tmp_path / "majorty")


def test_an_unreachable_hub_id_says_how_to_fetch_it():
    with pytest.raises(ModelError, match="hf download nobody/nothing"):
        nlpladder.load("nobody/nothing")


def test_a_save_that_dies_leaves_the_earlier_model_whole(tmp_path, monkeypatch):
    texts, labels = data()
    first = BUILDERS["logistic"](label_names=LABELS).fit(texts, labels)
    first.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "README.md").write_text("a card by hand")
    second = BUILDERS["logistic"](label_names=LABELS).fit(texts[:60], labels[:60])
    with monkeypatch.context() as patch:
        patch.setattr("safetensors.numpy.save_file", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            second.save_pretrained(tmp_path / "model")
    assert np.array_equal(nlpladder.load(tmp_path / "model").predict_proba(texts), first.predict_proba(texts))
    second.save_pretrained(tmp_path / "model")
    assert np.array_equal(nlpladder.load(tmp_path / "model").predict_proba(texts), second.predict_proba(texts))
    assert (tmp_path / "model" / "README.md").read_text() == "a card by hand"
    assert not [path for path in (tmp_path / "model").iterdir() if path.name.startswith(".")]
