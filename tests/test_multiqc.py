"""What MultiQC reads of a run, by its documented layout and, where it is installed, by MultiQC."""

import json
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from emhniche.io import read_json, read_table, write_json, write_table
from emhniche.report.multiqc import COLUMNS, measures, sections, write_lineages, write_multiqc
from fake_names import EVIL_SAMPLE, SAMPLES
from fake_run import make_run

PLOTS = {"general": "generalstats", "table": "table", "losses": "bargraph"}
MULTIQC = shutil.which("multiqc")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_run(tmp_path_factory.mktemp("run"))
    for sample in SAMPLES:
        own = folder / "samples" / sample
        write_multiqc(own / "qc.json", own / "qc.parquet", folder / "samples.tsv", own)
    cells = read_table(folder / "annotate/annotation.parquet")
    cells["sample"] = cells["cell_id"].str.rsplit(":", n=1).str[0]
    write_lineages(cells, folder / "report/lineages_mqc.json")
    return folder


def load(root: Path, sample: str) -> dict[str, dict]:
    return {name: read_json(root / f"samples/{sample}/qc_{name}_mqc.json") for name in PLOTS}


def test_files_have_the_layout_that_multiqc_documents(root: Path):
    seen = set()
    for sample in SAMPLES:
        for name, section in load(root, sample).items():
            assert section["plot_type"] == PLOTS[name]
            assert list(section["data"]) == [sample]
            seen.add((name, section["id"]))
            for value in section["data"][sample].values():
                assert isinstance(value, (str, int, float))
    # one id a kind of section, by which the samples' files are joined
    assert len(seen) == len(PLOTS) == len({section for _, section in seen})


def test_numbers_are_those_of_the_sample(root: Path):
    qc, table = (
        read_json(root / "samples/s3/qc.json"),
        read_table(root / "samples/s3/qc.parquet"),
    )
    row = load(root, "s3")["table"]["data"]["s3"]
    assert (row["verdict"], row["n_in"], row["n_kept"]) == ("pass", qc["n_in"], qc["n_kept"])
    assert row["pct_doublets"] == pytest.approx(100 * 4 / qc["n_in"])
    assert row["n_counts"] == pytest.approx(table["n_counts"].median())
    losses = load(root, "s3")["losses"]["data"]["s3"]
    assert sum(losses.values()) == qc["n_in"]
    assert losses["high mitochondrial share"] == qc["removed"]["high_mito"]
    general = load(root, "s3")["general"]
    heads = {key for one in general["pconfig"] for key in one}
    assert set(general["data"]["s3"]) <= heads


def test_what_was_not_measured_has_no_entry(root: Path):
    row = load(root, "s1")["table"]["data"]["s1"]
    # no doublet search, no ambient estimate: neither is zero
    assert not {"pct_doublets", "pct_ambient", "pct_mito", "reason"} & set(row)


def test_ambient_share_is_the_median_of_the_kept_cells(root: Path):
    qc, table = (
        read_json(root / "samples/s1/qc.json"),
        pd.DataFrame({"keep": [True, True, True, False], "ambient": [0.1, 0.2, 0.3, 0.9]}),
    )
    assert measures(qc, table)["pct_ambient"] == pytest.approx(20.0)


def test_names_are_text(root: Path):
    for name, section in load(root, EVIL_SAMPLE).items():
        data = json.dumps(section["data"][EVIL_SAMPLE])
        assert "<" not in data, name
    reason = load(root, EVIL_SAMPLE)["table"]["data"][EVIL_SAMPLE]["reason"]
    assert "&lt;script&gt;" in reason


def test_a_library_without_barcodes_has_no_share():
    qc = {
        "sample": "empty", "verdict": "fail", "verdict_reason": "no barcode", "n_in": 0,
        "n_kept": 0, "removed": {}, "medians": {"n_counts": None},
        "doublets": {"status": "scored", "n_called": 0},
    }  # fmt: skip
    table = pd.DataFrame({"keep": pd.Series(dtype=bool), "ambient": pd.Series(dtype=float)})
    row = sections(qc, table)["table"]["data"]["empty"]
    assert row == {"verdict": "fail", "n_in": 0, "n_kept": 0, "reason": "no barcode"}


def test_lineages_add_up_to_the_kept_cells(root: Path):
    section = read_json(root / "report/lineages_mqc.json")
    for sample in SAMPLES:
        kept = read_json(root / "samples" / sample / "qc.json")["n_kept"]
        assert sum(section["data"][sample].values()) == kept
        assert set(section["data"][sample]) <= set(section["categories"])


@pytest.mark.skipif(MULTIQC is None, reason="MultiQC is not installed")
def test_multiqc_shows_every_sample_column_and_loss(root: Path, tmp_path: Path):
    verdicts, table = tmp_path / "samples.tsv", root / "samples/s3/qc.parquet"
    judged = {"sample": ["a", "b"], "verdict": ["warn", "fail"], "verdict_reason": ["low", "twice"]}
    write_table(pd.DataFrame(judged), verdicts)
    for sample in judged["sample"]:
        own = tmp_path / sample
        write_json(read_json(root / "samples/s3/qc.json") | {"sample": sample}, own / "qc.json")
        write_multiqc(own / "qc.json", table, verdicts, own)
    subprocess.run(
        [MULTIQC, "--no-ai", "--strict", "-o", "out", "."],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    data = tmp_path / "out/multiqc_data"
    table = pd.read_csv(data / "multiqc_emhniche_qc_table.txt", sep="\t", index_col=0)
    assert list(table.index) == ["a", "b"]
    assert table["verdict"].tolist() == ["warn", "fail"]
    losses = pd.read_csv(data / "multiqc_emhniche_losses_plot.txt", sep="\t", index_col=0)
    assert losses.sum(axis=1).tolist() == [read_json(root / "samples/s3/qc.json")["n_in"]] * 2
    assert (data / "multiqc_general_stats.txt").is_file()
    assert set(COLUMNS) >= set(table.columns)
