import numpy as np
import pandas as pd
import pytest

from emhniche.errors import InputError
from emhniche.label_transfer import transfer_labels
from emhniche.lineage import UNKNOWN
from emhniche.transfer import learn, transfer
from own_project import edit, load, refusal

CENTRES = {"T cell": 0.0, "B cell": 20.0, "Granulocyte": 40.0, "nowhere": 80.0}
LINEAGES = {"T cell": "T", "B cell": "B", "Granulocyte": "neutrophil", "nowhere": "stroma"}


@pytest.fixture(scope="module")
def cohort():
    """Return cells of two labelled samples and one without labels, which has a kind of its own."""
    rng = np.random.default_rng(0)
    rows = [
        (sample, kind)
        for sample in ("one", "two", "other")
        for kind in CENTRES
        for _ in range(120)
        if kind != "nowhere" or sample == "other"
    ]
    obs = pd.DataFrame(rows, columns=["sample", "truth"])
    obs.index = pd.Index([f"c{number}" for number in range(len(obs))], name="cell_id")
    obs["label"] = obs["truth"].where(obs["sample"] != "other", "")
    points = rng.normal(size=(len(obs), 4)) + obs["truth"].map(CENTRES).to_numpy()[:, None]
    latent = pd.DataFrame(points, columns=[f"dim_{n}" for n in range(4)])
    latent.insert(0, "cell_id", obs.index)
    annotation = pd.DataFrame({"cell_id": obs.index, "lineage": obs["truth"].map(LINEAGES)})
    return latent, obs, annotation.reset_index(drop=True)


def test_labels_go_to_their_own_kind_and_the_rest_is_unknown(cohort):
    latent, obs, annotation = cohort
    cells, _ = transfer_labels(latent, obs, annotation, samples=["one", "two"])
    truth = obs.loc[cells["cell_id"], "truth"].to_numpy()
    assert set(obs.loc[cells["cell_id"], "sample"]) == {"other"}
    known = truth != "nowhere"
    assert (cells["label"].to_numpy() == truth)[known].mean() > 0.9
    assert set(cells["label"][known]) <= {*CENTRES, UNKNOWN} - {"nowhere"}
    assert (cells["label"][~known] == UNKNOWN).all()
    assert cells["agrees"][~known].isna().all()
    assert cells["agrees"].dropna().all()


def test_a_wrong_name_shows_as_disagreement_and_stays(cohort):
    latent, obs, annotation = cohort
    wrong = annotation.copy()
    swapped = ((obs["sample"] == "other") & (obs["truth"] == "B cell")).to_numpy()
    wrong.loc[swapped, "lineage"] = "plasma"
    before = wrong.copy()
    _, table = transfer_labels(latent, obs, wrong, samples=["one", "two"])
    assert wrong.equals(before)
    rows = table.set_index("label")
    assert rows.loc["B cell", ["usual_lineage", "other_lineage"]].tolist() == ["B", "plasma"]
    assert rows.loc["B cell", "agree"] == 0
    assert rows.loc["B cell", "labelled_agree"] == 1
    assert rows.loc["T cell", "agree"] == 1


def test_a_sample_without_labelled_cells_ends_in_one_line(cohort):
    with pytest.raises(InputError, match=r"annotate\.label_samples: other: 0 labelled cells"):
        transfer_labels(*cohort, samples=["other"])


def test_labels_for_nobody_end_in_one_line(cohort):
    latent, obs, annotation = cohort
    with pytest.raises(InputError, match=r"none is left to hand labels to"):
        transfer_labels(latent, obs.assign(label="T cell"), annotation, samples=set(obs["sample"]))


def test_a_kind_of_one_library_does_not_widen_the_limits_of_others():
    rng = np.random.default_rng(0)
    kinds = np.repeat(["a", "b", "a", "b", "c"], 300)
    libraries = np.repeat(["one", "one", "two", "two", "two"], 300)
    middle = {"a": 0.0, "b": 20.0, "c": 60.0}
    points = rng.normal(size=(1500, 4)) + np.array([middle[kind] for kind in kinds])[:, None]
    reference = learn(points, kinds, libraries)
    assert max(reference.limits.values()) < 1.5 * min(reference.limits.values())
    between = rng.normal(size=(300, 4)) + 40
    assert not transfer(reference, between)["in_reference"].any()
    again = rng.normal(size=(300, 4)) + 60
    assert transfer(reference, again)["in_reference"].mean() > 0.85


def test_a_wrong_sample_ends_the_run_before_it_starts(project):
    message = refusal(annotate={"label_samples": ["s9"]})
    assert "annotate.label_samples: 's9' is no sample; use one of: s1," in message
    message = refusal(annotate={"label_samples": ["s1"]})
    assert "annotate.label_samples: 's1' has no labels" in message


def test_labels_are_not_compared_with_names_that_learnt_from_them(project):
    edit("samples.tsv", "\tsex\n", "\tlabels\n")
    assert load(annotate={"label_samples": ["s1"]}).config["annotate"]["label_samples"] == ["s1"]
    settings = {"methods": ["scvi", "scanvi"], "primary": "scanvi"}
    message = refusal(integrate=settings, annotate={"label_samples": ["s1"]})
    assert "annotate.label_samples: integrate.primary is scanvi" in message
