"""A CellTypist model is read and never run, and what it says stands beside the names."""

import dataclasses
import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy._core.numeric import _frombuffer
from scipy import sparse
from sklearn.preprocessing import StandardScaler

from emhniche.celltypist import ask_model
from emhniche.celltypist_model import read_model
from emhniche.errors import InputError
from emhniche.lineage import UNKNOWN, agreement, usual_lineages
from fake_celltypist import checksum, logs, write_model
from own_project import load, refusal
from planted import library

MIX = {"B": 80, "T": 80, "neutrophil": 50}


def measured(cells, dataset: str):
    """Say that all genes of a library are measured."""
    cells.obs["dataset"] = dataset
    cells.varm["measured"] = pd.DataFrame({dataset: True}, index=cells.var_names)
    return cells


@pytest.fixture(scope="module")
def cohort():
    """Return a library with a kind that the model does not know, its clusters and its names."""
    cells = measured(library(MIX | {"erythroid": 50}, seed=5), "one")
    truth = cells.obs["truth"].astype(str)
    clusters = pd.Series(pd.factorize(truth)[0].astype(str), index=cells.obs_names)
    named = {"cell_id": cells.obs_names, "lineage": truth.to_numpy(), "cell_type": truth.to_numpy()}
    return cells, clusters, pd.DataFrame(named)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.pkl"
    return path, write_model(path, MIX)


def test_cells_get_the_labels_of_the_model_and_a_foreign_kind_is_unknown(cohort, model):
    cells, _, annotation = cohort
    opinion, table = ask_model(*cohort, read_model(*model))
    truth = annotation["lineage"].to_numpy()
    known = truth != "erythroid"
    assert (opinion["label"].to_numpy() == truth)[known].mean() > 0.95
    assert (opinion["label"] == UNKNOWN).to_numpy()[~known].mean() > 0.7
    assert opinion["agrees"][opinion["label"] == UNKNOWN].isna().all()
    assert (opinion["best"] != UNKNOWN).all()
    rows = table.set_index("lineage")
    assert (rows.loc[list(MIX), "label"] == list(MIX)).all()
    assert (rows.loc[list(MIX), "agree"] > 0.95).all()
    assert rows.loc["erythroid", "label"] == UNKNOWN
    assert table["n_cells"].sum() == cells.n_obs


def test_probabilities_are_those_of_scikit_learn(cohort, model):
    cells, _, _ = cohort
    opinion, _ = ask_model(*cohort, read_model(*model))
    made = pickle.loads(model[0].read_bytes())
    values = np.minimum(made["Scaler_"].transform(logs(cells)), 10)
    scores = made["Model"].decision_function(values)
    np.testing.assert_allclose(
        opinion["probability"], 1 / (1 + np.exp(-scores.max(axis=1))), rtol=1e-5
    )
    assert (opinion["best"] == made["Model"].classes_[scores.argmax(axis=1)]).all()


def test_two_classes_and_genes_that_the_run_lacks(cohort, tmp_path):
    cells, clusters, annotation = cohort
    found = read_model(tmp_path / "two.pkl", write_model(tmp_path / "two.pkl", {"B": 60, "T": 60}))
    assert found.weights.shape == (2, cells.n_vars)
    some = cells[:, np.random.default_rng(0).permutation(cells.n_vars)[:500]].copy()
    opinion, _ = ask_model(some, clusters, annotation, found)
    either = annotation["lineage"].isin(["B", "T"]).to_numpy()
    assert (opinion["best"].to_numpy() == annotation["lineage"].to_numpy())[either].mean() > 0.95
    few = cells[:, :100].copy()
    with pytest.raises(InputError, match=r"one has measured 100 of the model's 649 genes"):
        ask_model(few, clusters, annotation, found)


def test_a_disagreement_is_shown_and_no_name_is_changed(cohort, model):
    cells, clusters, annotation = cohort
    wrong = annotation.copy()
    wrong.loc[wrong["lineage"].eq("T") & (np.arange(len(wrong)) % 4 == 0), "lineage"] = "B"
    opinion, table = ask_model(cells, clusters, wrong, read_model(*model))
    differs = (wrong["lineage"] != annotation["lineage"]).to_numpy()
    assert (opinion["agrees"][differs].fillna(True) == False).mean() > 0.9  # noqa: E712
    assert table.set_index("cell_type").loc["T", "agree"] == pytest.approx(0.75, abs=0.1)
    assert "lineage" not in opinion


def test_a_gene_that_a_dataset_does_not_measure_says_nothing(cohort, model):
    """Half of the cells come from a dataset that lists no marker of B cells."""
    cells, clusters, annotation = cohort
    found = read_model(*model)
    truth = annotation["lineage"].to_numpy()
    weights = found.weights[list(found.labels).index("B")]
    strongest = found.genes[np.argsort(-np.abs(weights))[:60]]
    two = cells.copy()
    two.obs["dataset"] = np.where(np.arange(two.n_obs) % 2, "whole", "poor")
    lists = pd.DataFrame({"whole": True, "poor": ~two.var_names.isin(strongest)}, two.var_names)
    two.varm["measured"] = lists
    poor = two.obs["dataset"].to_numpy() == "poor"
    counts = two.X.toarray()
    counts[np.ix_(poor, ~lists["poor"])] = 0
    two.X = sparse.csr_matrix(counts)
    opinion, _ = ask_model(two, clusters, annotation, found)
    whole, _ = ask_model(*cohort, found)
    assert (opinion["probability"] == whole["probability"])[~poor].all()
    kept = np.isin(found.genes, lists.index[lists["poor"]])
    assert kept.sum() == len(kept) - 60
    # the same as of a model without those genes
    less = dataclasses.replace(
        found,
        genes=found.genes[kept],
        weights=found.weights[:, kept],
        mean=found.mean[kept],
        scale=found.scale[kept],
    )
    alone, _ = ask_model(measured(two[poor].copy(), "poor"), clusters, annotation, less)
    np.testing.assert_allclose(opinion["probability"][poor], alone["probability"], rtol=1e-6)
    assert (truth[poor] == "B").any()


def test_cells_without_a_lineage_neither_agree_nor_make_one_usual():
    labels = np.array(["x", "x", "x", "y"])
    lineage = np.array(["unresolved", "unresolved", "B", "unresolved"])
    usual = usual_lineages(labels, lineage)
    assert usual.to_dict() == {"x": "B", "y": ""}
    assert agreement(lineage, usual[labels]).isna().tolist() == [True, True, False, True]


class Harm:
    """What a pickle of somebody else may hold: a command to be run."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_a_model_that_runs_something_is_refused_and_runs_nothing(tmp_path):
    path, target = tmp_path / "harm.pkl", tmp_path / "done"
    path.write_bytes(pickle.dumps({"Model": Harm(target), "Scaler_": None, "description": {}}))
    with pytest.raises(InputError, match=r"harm\.pkl: not a CellTypist model: it asks for \w+\.mk"):
        read_model(path, checksum(path))
    assert not target.exists()


class Hidden:
    """An array of bytes that says of itself, once made, that they are addresses of objects."""

    def __reduce__(self) -> tuple:
        return _frombuffer, (b"A" * 8, HiddenKind(), (1,), "C")


class HiddenKind:
    code = "V8"

    def __reduce__(self) -> tuple:
        fields = {"a": (np.dtype("O"), 0)}
        return np.dtype, (self.code, False, True), (3, "|", None, ("a",), fields, 8, 1, 0)


class HiddenNumber(HiddenKind):
    code = "i8"


class HiddenObjects(Hidden):
    def __reduce__(self) -> tuple:
        return _frombuffer, (b"A" * 8, np.dtype("O"), (1,), "C")


@pytest.mark.parametrize(
    ("hidden", "reason"),
    [
        (Hidden(), "type 'V8'"),
        (HiddenObjects(), "objects where numbers"),
        (HiddenNumber(), "type 'i8' with fields"),
    ],
)
def test_bytes_never_become_addresses(tmp_path, hidden, reason):
    """Numpy's own readers would take them for such, and the process would end there."""
    path = tmp_path / "hidden.pkl"
    path.write_bytes(pickle.dumps({"Model": hidden, "Scaler_": None}))
    with pytest.raises(InputError, match=reason):
        read_model(path, checksum(path))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda made: made["Model"].coef_.__setitem__((0, 0), np.nan), "no number"),
        (lambda made: made["Scaler_"].scale_.__setitem__(0, 0.0), "not above 0"),
        (lambda made: setattr(made["Scaler_"], "scale_", None), "do not fit together"),
        (lambda made: made["Model"].features.__setitem__(0, made["Model"].features[1]), "a gene "),
        (lambda made: setattr(made["Model"], "classes_", np.array("B")), "do not fit together"),
    ],
)
def test_numbers_that_cannot_be_a_model_are_refused(model, tmp_path, change, reason):
    made = pickle.loads(model[0].read_bytes())
    change(made)
    path = tmp_path / "odd.pkl"
    path.write_bytes(pickle.dumps(made))
    with pytest.raises(InputError, match=reason) as error:
        read_model(path, checksum(path))
    assert "\n" not in str(error.value)


def test_a_scaler_that_only_centres_is_read(model, cohort, tmp_path):
    made = pickle.loads(model[0].read_bytes())
    made["Scaler_"] = StandardScaler(with_std=False).fit(logs(cohort[0]))
    path = tmp_path / "centred.pkl"
    path.write_bytes(pickle.dumps(made))
    assert (read_model(path, checksum(path)).scale == 1).all()


@pytest.mark.parametrize(
    "content",
    [b"no pickle", pickle.dumps([1, 2]), pickle.dumps({"Model": np.ones(3), "Scaler_": 1})],
    ids=["text", "a list", "an array"],
)
def test_a_file_that_is_no_model_ends_in_one_line(tmp_path, content):
    path = tmp_path / "none.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"none\.pkl: not a CellTypist model") as error:
        read_model(path, checksum(path))
    assert "\n" not in str(error.value)


def test_another_file_than_the_one_meant_is_refused(model):
    with pytest.raises(InputError, match=r"its sha256 is [0-9a-f]{64} and not 0{64}"):
        read_model(model[0], "0" * 64)


def test_the_settings_want_a_file_and_its_checksum(project, model):
    assert "celltypist" not in load().config["annotate"]
    given = {"model": "model.pkl", "sha256": "0" * 64}
    message = refusal(annotate={"celltypist": given})
    assert "annotate.celltypist.model: 'model.pkl' does not exist" in message
    Path("model.pkl").write_bytes(model[0].read_bytes())
    assert "its sha256 is" in refusal(annotate={"celltypist": given})
    given["sha256"] = model[1]
    assert load(annotate={"celltypist": given}).config["annotate"]["celltypist"] == given
    assert "sha256" in refusal(annotate={"celltypist": {"model": "model.pkl"}})
    assert "annotate.celltypist" in refusal(annotate=yaml.safe_load("{celltypist: }"))
