"""A run is complete and right, or one line says what is wrong with it."""

import copy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from emhniche.config_docs import render
from emhniche.errors import InputError
from emhniche.schema import complete, nearest, read_schema
from emhniche.settings import load_run, read_images
from emhniche.sheet import parse_select, split_list
from own_project import CONFIG, ROOT, SCHEMA, SHEET, edit, load, refusal


def test_what_is_left_out_is_filled_in(project):
    run = load()
    samples = run.samples
    assert run.name == "test"
    assert run.species == "mouse"
    assert samples.index.tolist() == ["s1", "s2", "b1", "b2"]
    assert samples["niche"].tolist() == ["extramedullary", "extramedullary", "marrow", ""]
    assert samples["donor"].tolist() == ["m1", "m2", "unknown:b1", "m3"]
    assert samples["donor_known"].tolist() == [True, True, False, True]
    assert samples["batch"].tolist() == ["s1", "s2", "b1", "b2"]
    assert samples["study"].tolist() == ["one", "one", "two", "two"]
    assert samples["format"].unique().tolist() == ["auto"]
    assert samples["enrichment"].unique().tolist() == ["none"]
    assert samples["age"].tolist() == [""] * 4
    assert run.registry.at["one.h5ad", "bytes"] == 1024
    assert run.config["qc"]["n_mads"] == 4.0
    assert run.config["niche"]["contrasts"][0]["subset"] == {}
    assert run.images["core"].startswith("docker://")


def test_the_given_configuration_is_left_as_it_was(project):
    given = CONFIG | {"qc": {"min_counts": {"floor": 7}}}
    before = copy.deepcopy(given)
    run = load_run(given, ROOT)
    assert given == before
    assert run.config["qc"]["min_counts"]["floor"] == 7
    assert run.config["qc"]["min_counts"]["ceiling"] > 7


def test_an_empty_section_has_all_defaults(project):
    settings = load(qc=None).config
    assert settings["qc"] == load().config["qc"]
    keys = list(read_schema(ROOT / SCHEMA.format("config"))["properties"])
    assert list(settings) == [key for key in keys if key != "simulate"]


def test_numbers_that_come_as_text_are_numbers(project):
    # YAML reads 8e-3 as text, and Snakemake reads all of --config 'qc={n_mads: 3}' as text
    config = yaml.safe_load("{integrate: {scvi: {peak_rate: 8e-3}}, qc: {n_mads: '3'}}")
    settings = load(seed="5", **config).config
    assert settings["integrate"]["scvi"]["peak_rate"] == 0.008
    assert settings["qc"]["n_mads"] == 3
    assert settings["seed"] == 5


def test_further_columns_are_carried_along(project):
    edit("samples.tsv", "\tsex\n", "\tsex\tbody_weight\n")
    edit("samples.tsv", "male\n", "male\t21 g\n")
    edit("samples.tsv", "\t\t\t\n", "\t\t\t\t\n")
    assert load().samples["body_weight"].tolist() == ["21 g", "21 g", "", ""]


def test_windows_line_ends_blank_lines_and_spaces_do_no_harm(project):
    text = SHEET.replace("\tspleen", "\t spleen ").replace("\n", "\r\n") + "\r\n\t\t\r\n"
    Path("samples.tsv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    expected = load().samples["tissue"].tolist()
    assert expected == ["spleen", "spleen", "bone marrow", "blood"]


def test_the_niche_contrast_is_left_out_without_both_niches(project):
    edit("samples.tsv", "bone marrow", "liver")
    assert load().config["niche"]["contrasts"] == []


def test_the_default_signatures_are_those_of_the_species(project):
    assert "T3_TAN" in load().config["myeloid"]["signatures"]
    edit("samples.tsv", "\tmouse\t", "\thuman\t")
    assert load().config["myeloid"]["signatures"] == ["M_MDSC"]


def test_the_lineages_are_the_two_of_the_review_unless_chosen(project):
    assert load().config["myeloid"]["lineages"] == ["neutrophil", "monocyte_macrophage"]
    chosen = load(myeloid={"lineages": ["HSPC", "DC"]}).config["myeloid"]["lineages"]
    assert chosen == ["HSPC", "DC"]


def test_a_broken_gene_table_ends_the_run_before_it_starts(project):
    panel = (ROOT / "resources" / "panel.tsv").read_text(encoding="utf-8")
    Path("mine.tsv").write_text(panel.replace("\tligand\t", "\tligant\t", 1), encoding="utf-8")
    message = refusal(resources={"panel": "mine.tsv"})
    assert message.startswith("mine.tsv: ")
    assert "ligant" in message


def test_a_wrong_known_answer_ends_the_run_before_it_starts(project):
    text = (ROOT / "resources" / "known_answers.tsv").read_text(encoding="utf-8")
    Path("mine.tsv").write_text(text.replace("\thighest\t", "\thighst\t", 1), encoding="utf-8")
    message = refusal(resources={"known_answers": "mine.tsv"})
    assert message.startswith("mine.tsv: row 2 (KA01.cxcl12): kind 'highst' is unknown")


def test_the_hint_of_column_names_holds_those_of_the_sheet(project):
    contrast = {"name": "c", "factor": "zzzz", "test": "LPS", "reference": "control"}
    for message in (
        refusal(niche={"contrasts": [contrast]}),
        refusal(integrate={"batch_key": "zzzz"}),
    ):
        assert "use one of: " in message
        assert "condition" in message
        assert "donor_known" not in message
    assert "no column 'donor_known'" in refusal(integrate={"batch_key": "donor_known"})


def test_files_are_found_beside_the_snakefile(project):
    assert load().config["resources"]["panel"] == str(ROOT / "resources" / "panel.tsv")
    Path("resources").mkdir()
    shutil.copy(ROOT / "resources" / "panel.tsv", "resources/panel.tsv")
    assert load().config["resources"]["panel"] == "resources/panel.tsv"


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"qcc": {}}, ["config: qcc", "unknown key", "'qc'"]),
        ({"qc": {"n_mad": 4}}, ["qc.n_mad", "unknown key", "'n_mads'"]),
        ({"integrate": {"scvi": {"epoch": 4}}}, ["integrate.scvi.epoch", "'epochs'"]),
        ({"qc": {"n_mads": "four"}}, ["qc.n_mads", "'four' is not a number", "4.0"]),
        ({"qc": {"n_mads": 0}}, ["qc.n_mads", "0 is out of range", "above 0"]),
        ({"qc": {"min_counts": {"floor": 900}}}, ["qc.min_counts", "floor 900", "ceiling"]),
        ({"qc": 3}, ["config: qc", "3 is not a section of keys"]),
        ({"integrate": {"methods": ["scvj"]}}, ["integrate.methods[0]", "'scvj'", "'scvi'"]),
        ({"integrate": {"methods": []}}, ["integrate.methods", "the list is empty"]),
        (
            {"integrate": {"methods": ["pca"], "primary": "scvi"}},
            ["integrate.primary", "'scvi' is not among", "pca"],
        ),
        ({"integrate": {"batch_key": "tissue"}}, ["batch_key", "tissue must never be a batch"]),
        ({"integrate": {"batch_key": "arm"}}, ["batch_key", "arm must never be a batch"]),
        ({"integrate": {"batch_key": "bacth"}}, ["batch_key", "no column 'bacth'", "'batch'"]),
        ({"run": "a" * 101}, ["config: run", "at most 100 letters"]),
        ({"run": "a/b"}, ["config: run", "'a/b' cannot be used", "letters"]),
        ({"run": True}, ["config: run", "True is not text", "quotes"]),
        ({"samples": "absent.tsv"}, ["config: samples", "'absent.tsv' does not exist"]),
        ({"registry": "absent.tsv"}, ["config: registry", "'absent.tsv' does not exist"]),
        ({"resources": {"panel": "p.tsv"}}, ["config: resources.panel", "'p.tsv' does not exist"]),
        ({"myeloid": {"signatures": ["M_MDCS"]}}, ["no mouse set 'M_MDCS'", "'M_MDSC'"]),
        ({"myeloid": {"lineages": ["B"]}}, ["config: myeloid.lineages", "neutrophil"]),
        ({"myeloid": {"lineages": []}}, ["config: myeloid.lineages"]),
        ({"seed": -1}, ["config: seed", "at least 0"]),
    ],
)
def test_a_wrong_setting_is_named(project, changes, parts):
    message = refusal(**changes)
    assert all(part in message for part in parts), message


def test_a_needed_setting_is_asked_for(project):
    with pytest.raises(InputError, match=r"^mine.yaml: run: missing; name of the run"):
        load_run({"samples": "x.tsv"}, ROOT, source="mine.yaml")
    with pytest.raises(InputError, match=r"^mine.yaml: samples, simulate: missing; give `samples`"):
        load_run({"run": "test"}, ROOT, source="mine.yaml")


def test_a_run_is_simulated_or_real_and_not_both(project):
    wanted = r"^config: samples, simulate: both are given; give `samples`.* or `simulate`"
    with pytest.raises(InputError, match=wanted):
        load(simulate="config/study.yaml")
    with pytest.raises(InputError, match=r"simulate: 'no.yaml' does not exist; name an existing"):
        load_run({"run": "test", "simulate": "no.yaml"}, ROOT)


@pytest.mark.parametrize(
    ("changed", "was", "now", "said"),
    [
        ("truths", "[Csf3, Lif]", "[Csf3, Liv]", "plant[0].genes: 'Liv' is not simulated"),
        ("truths", "[cMono]\n", "[cMonos]\n", "'cMonos' is not simulated; did you mean 'cMono'"),
        (
            "truths",
            "{condition: tumour, tissue: spleen}",
            "{condition: tumor, tissue: spleen}",
            "plant[0].where.condition: no library of study.yaml is 'tumor', so that nothing would "
            "be planted; did you mean 'tumour'?",
        ),
        (
            "truths",
            "cell_types: [EC_spleen, RedPulp_stroma_Tcf21]",
            "cell_types: [EC_marrow]",
            "plant[0].cell_types: no library that it is planted in holds EC_marrow; name cell "
            "types of the spleen",
        ),
        ("truths", "fold: 3.0", "fold: .inf", "fold: inf is out of range"),
        ("profiles", "0.2738", "many", "profiles.tsv: Aamp: dispersion is 'many', not a number"),
        (
            "cell_types",
            "\t0.5\t1300",
            "\t1\t1300",
            "cell_types.tsv: maturation: preNeu 0, immNeu 1, matNeu 1; it would be of one lineage",
        ),
        ("programmes", "\tCsf3\t", "\tCsf\t", "gene Csf is not in profiles.tsv"),
    ],
)
def test_what_a_study_names_is_read_for_its_mistakes(
    tmp_path, monkeypatch, changed, was, now, said
):
    monkeypatch.chdir(tmp_path)
    shipped = {"truths": "truth.yaml"}.get(changed, f"{changed}.tsv")
    text = (ROOT / "resources" / "demo" / shipped).read_text(encoding="utf-8")
    Path(shipped).write_text(text.replace(was, now), encoding="utf-8")
    Path("study.yaml").write_text(f"{changed}: {shipped}", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_run({"run": "test", "simulate": "study.yaml"}, ROOT)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("condition", ["tumour", "LPS"])
def test_a_truth_that_the_study_is_not_asked_about_may_be_planted_nowhere(
    tmp_path, monkeypatch, condition
):
    # the shipped truth of inflamed mice waits for a study that has them
    monkeypatch.chdir(tmp_path)
    arms = "arms: [{condition: naive, mice: 1}, {condition: tumour, mice: 1}"
    arms += "]" if condition == "tumour" else ", {condition: LPS, mice: 1}]"
    Path("study.yaml").write_text(f"{arms}\ntissues: [spleen]", encoding="utf-8")
    run = load_run({"run": "test", "simulate": "study.yaml"}, ROOT)
    assert len(run.samples) == (2 if condition == "tumour" else 3)


@pytest.mark.parametrize(
    ("contrast", "parts"),
    [
        ({"factor": "conditions"}, ["no column 'conditions'", "did you mean 'condition'"]),
        ({"test": "LSP"}, ["no sample has 'condition' = 'LSP'", "did you mean 'LPS'"]),
        ({"reference": "LPS"}, ["both 'LPS'"]),
        ({"subset": {"dataset": "three"}}, ["subset", "'dataset' = 'three'", "one, two"]),
        ({"subset": {"dataset": "two"}}, ["no sample has 'condition' = 'LPS'"]),
        ({"subset": {"age": "a"}}, ["'age' = 'a'; the column is empty in the 4 samples asked"]),
        ({"factor": "age"}, ["'age' = 'LPS'; the column is empty in the 4 samples asked"]),
        ({"factor": "donor_known"}, ["the sample sheet has no column 'donor_known'"]),
        ({"subset": {"donor_known": "True"}}, ["the sample sheet has no column 'donor_known'"]),
        ({"refrence": "x"}, ["unknown key", "'reference'"]),
        ({"name": "a b"}, ["niche.contrasts[0].name", "'a b' cannot be used"]),
    ],
)
def test_a_contrast_names_columns_and_levels_that_exist(project, contrast, parts):
    good = {"name": "lps", "factor": "condition", "test": "LPS", "reference": "control"}
    assert load(niche={"contrasts": [good]}).config["niche"]["contrasts"][0]["name"] == "lps"
    message = refusal(niche={"contrasts": [good | contrast]})
    assert all(part in message for part in parts), message


@pytest.mark.parametrize(
    ("second", "parts"),
    [
        ({"factor": "condition"}, ["interaction: factor is 'condition' as in the contrast"]),
        ({"factor": "tisue"}, ["interaction", "no column 'tisue'", "did you mean 'tissue'"]),
        ({"test": "splen"}, ["interaction: no sample has 'tissue' = 'splen'"]),
        ({"reference": "spleen"}, ["interaction: test and reference are both 'spleen'"]),
        ({"levels": "x"}, ["interaction.levels: unknown key", "factor, test, reference"]),
    ],
)
def test_an_interaction_names_a_second_factor(project, second, parts):
    plain = {"name": "lps", "factor": "condition", "test": "LPS", "reference": "control"}
    good = {"factor": "tissue", "test": "spleen", "reference": "bone marrow"}
    found = load(niche={"contrasts": [plain | {"interaction": good}]}).config["niche"]
    assert found["contrasts"][0]["interaction"] == good
    assert "interaction" not in load(niche={"contrasts": [plain]}).config["niche"]["contrasts"][0]
    message = refusal(niche={"contrasts": [plain | {"interaction": good | second}]})
    assert all(part in message for part in parts), message


def test_an_interaction_needs_both_of_its_levels(project):
    contrast = {"name": "lps", "factor": "condition", "test": "LPS", "reference": "control"}
    contrast["interaction"] = {"factor": "tissue", "test": "spleen"}
    assert "interaction.reference: missing" in refusal(niche={"contrasts": [contrast]})


def test_contrasts_have_names_of_their_own(project):
    contrast = {"name": "lps", "factor": "condition", "test": "LPS", "reference": "control"}
    assert "name used twice" in refusal(niche={"contrasts": [contrast, contrast]})


def test_selections_are_read():
    assert parse_select("") == []
    assert parse_select("a == 1; b c != 'x y' ;") == [("a", "==", "1"), ("b c", "!=", "x y")]
    assert parse_select("gate == CD11c+(2hr_LPS)") == [("gate", "==", "CD11c+(2hr_LPS)")]
    for wrong in ("a", "a = 1", "a === 1", "== 1", "a ==", "a > 1"):
        with pytest.raises(InputError, match="is no condition"):
            parse_select(wrong)


def test_lists_are_split():
    assert split_list(" a.h5ad ; b.tsv;") == ["a.h5ad", "b.tsv"]


def test_the_nearest_name_is_offered():
    assert nearest("Tisue", ["tissue", "donor"]) == "did you mean 'tissue'?"
    assert nearest("zzz", ["tissue", "", "donor"]) == "use one of: tissue, donor"


def test_defaults_do_not_leak_between_runs():
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": {}, "default": []}}}
    complete({}, schema)["a"].append(1)
    assert complete({}, schema) == {"a": []}


def test_an_image_is_a_name_a_digest_or_a_local_file(tmp_path):
    local = tmp_path / "cpu.sif"
    local.touch()
    entries = {
        "cpu": {"image": str(local), "digest": ""},
        "gpu": {"image": "ghcr.io/o/gpu:1", "digest": ""},
        "report": {"image": "ghcr.io/o/report:1", "digest": "sha256:" + "a" * 64},
    }
    (tmp_path / "images.yaml").write_text(yaml.safe_dump(entries), encoding="utf-8")
    images = read_images(tmp_path / "images.yaml")
    assert images["cpu"] == str(local)
    assert images["gpu"] == "docker://ghcr.io/o/gpu:1"
    assert images["report"] == "docker://ghcr.io/o/report:1@sha256:" + "a" * 64


@pytest.mark.parametrize("name", ["config.yaml", "aliased.yaml", "public.yaml"])
def test_the_shipped_runs_are_right(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    run = load_run(config, ROOT, source=name)
    assert set(run.samples["niche"]) == {"marrow", "extramedullary"}
    if run.study:
        assert set(run.samples["file"]) == {f"results/{run.name}/simulate/cohort.h5ad"}
        assert run.truths
        return
    assert {name for text in run.samples["file"] for name in split_list(text)} <= set(
        run.registry.index
    )


def test_the_documentation_is_what_the_schemas_say():
    written = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    assert written == render(ROOT), "run `make docs`"


def plan(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Let Snakemake plan a run in `folder`."""
    command = [sys.executable, "-m", "snakemake", "-n", "-s", ROOT / "Snakefile", "-d", folder]
    return subprocess.run([*command, *arguments], capture_output=True, text=True)


@pytest.mark.workflow
def test_a_configuration_file_stands_alone(tmp_path):
    # what lies in config.yaml must not leak into the run of another file
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("{run: other, seed: 1, qcc: 1}")
    public = ROOT / "config" / "public.yaml"
    done = plan("--configfile", public, "--config", "seed=7", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "results/public/report/index.html" in done.stdout


@pytest.mark.workflow
def test_a_mistake_ends_the_run_before_its_first_job_in_one_line(tmp_path):
    config = tmp_path / "mine.yaml"
    config.write_text("{run: mine, samples: config/public.tsv, qc: {n_mad: 3}}")
    done = plan("--configfile", config, folder=tmp_path)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if not line.startswith("Using ")]
    assert said == [f"error: {config}: qc.n_mad: unknown key; did you mean 'n_mads'?"]


def test_a_url_with_a_password_is_refused_and_not_repeated(project):
    edit("samples.tsv", "https://example.org/b2", "https://me:hunter2@example.org/b2")
    message = refusal()
    assert "sample 'b2': file" in message
    assert "name its path" in message
    assert "hunter2" not in message
