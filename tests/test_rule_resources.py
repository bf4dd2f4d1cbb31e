"""Rules ask for what finished runs have used, more of it after a failure, and the user decides."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from emhniche import io
from emhniche.errors import InputError
from emhniche.rule_measured import BY_HAND, MEASURED, MEASURES, fit, line_above, planned_jobs
from emhniche.rule_resources import COLUMNS, KINDS, asked, by_input, read_rule_resources
from small_project import CONFIG
from workflow import snakemake

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "resources" / "rule_resources.tsv"
POINTS = ROOT / "resources" / "rule_measured.tsv"
RULES = {
    rule: path
    for path in sorted((ROOT / "workflow" / "rules").glob("*.smk"))
    for rule in re.findall(r"(?m)^rule (\w+):", path.read_text(encoding="utf-8"))
}


@pytest.fixture(scope="module")
def table():
    return read_rule_resources(TABLE)


def test_every_rule_has_its_row_and_asks_by_it(table):
    assert sorted(table.index) == sorted(RULES)
    for rule, path in RULES.items():
        text = path.read_text(encoding="utf-8")
        for kind in KINDS:
            assert f'{kind}=asks("{rule}", "{kind}"' in text, (rule, kind)


def test_the_table_is_what_is_fitted_from_the_measured_jobs(table):
    pd.testing.assert_frame_equal(fit(io.read_table(POINTS), table), table)


def test_every_rule_is_measured_at_several_sizes():
    points = io.read_table(POINTS)
    assert set(points["rule"]) == set(RULES) - set(BY_HAND)
    assert points[["size", "max_rss_mb"]].notna().all().all()
    spread = points.groupby("rule")["size"].agg(lambda sizes: sizes.max() / sizes.min())
    assert spread[spread < 2].index.tolist() == []


def test_what_was_measured_lies_below_what_is_asked_for(table):
    for job in io.read_table(POINTS).itertuples():
        for kind, (column, *_) in MEASURES.items():
            used = getattr(job, column)
            if not np.isnan(used):
                assert 1.2 * used <= asked(table.loc[job.rule], kind, job.size), (job, kind)


def test_an_attempt_asks_for_half_as_much_again(table):
    line = table.loc["merge"].copy()
    line["mem_mb"], line["mem_mb_per"] = 1000, 10
    assert [asked(line, "mem_mb", 20, attempt) for attempt in (1, 2, 3)] == [1600, 2400, 3600]
    job = by_input(line, "mem_mb")
    size = type("InputFiles", (), {"size_mb": 20})
    assert job(None, input=size, attempt=2) == 2400


def test_the_line_is_the_lowest_above_all_points():
    sizes = pd.Series([1.0, 10.0, 100.0])
    assert line_above(sizes, 300 + 4 * sizes) == pytest.approx((300, 4))
    start, slope = line_above(sizes, pd.Series([310.0, 300.0, 700.0]))
    assert (start + slope * sizes >= [310, 300, 700 - 1e-6]).all()
    # falling values and sizes that hardly differ say nothing of a slope
    assert line_above(sizes, pd.Series([9.0, 5.0, 1.0])) == pytest.approx((9, 0))
    assert line_above(pd.Series([10.0, 15.0]), pd.Series([5.0, 50.0])) == (50, 0)


def test_a_planted_line_is_fitted_with_its_margin_and_what_is_unknown_stays(table):
    sizes = np.array([10.0, 100.0])
    points = pd.DataFrame(
        {
            "rule": "merge",
            "run": "made_up",
            "size": sizes,
            "max_rss_mb": 1000 + 2 * sizes,
            "cpu_min": np.nan,
            "output_mb": 3 * sizes,
        }
    )[MEASURED]
    found = fit(points, table)
    assert found.loc["merge", ["mem_mb", "mem_mb_per"]].tolist() == pytest.approx([1300, 2.6])
    assert found.loc["merge", ["disk_mb", "disk_mb_per"]].tolist() == pytest.approx([100, 6])
    assert found.loc["merge", "runtime"] == table.loc["merge", "runtime"]
    pd.testing.assert_frame_equal(found.drop("merge"), table.drop("merge"))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda rows: [*rows, rows[1]], "stands twice"),
        (lambda rows: [rows[0].replace("runtime", "time"), *rows[1:]], "columns must be"),
        (lambda rows: [rows[0], rows[1].replace("input_mb", "cells")], "by is 'cells'"),
        (lambda rows: [rows[0], re.sub(r"\t\d[^\t]*$", "\t-1", rows[1])], "disk_mb_per"),
    ],
)
def test_a_wrong_table_ends_in_one_line(tmp_path, edit, message):
    rows = TABLE.read_text(encoding="utf-8").splitlines()
    (tmp_path / "rule_resources.tsv").write_text("\n".join(edit(rows)) + "\n")
    with pytest.raises(InputError, match=message) as error:
        read_rule_resources(tmp_path / "rule_resources.tsv")
    assert "\n" not in str(error.value)
    assert COLUMNS[0] == "rule"


def test_the_finished_demo_stayed_below_what_its_jobs_asked_for():
    """The jobs as planned now, beside what the benchmarks of the last demo say."""
    if not (ROOT / "results" / "demo" / "report" / "index.html").exists():
        pytest.skip("no finished demo here: make demo")
    said = snakemake(ROOT, "-n", "-F", "--cores", "1", config="config/config.yaml")
    jobs = planned_jobs(said.stdout + said.stderr)
    unasked = {"fetch", "ambient", "cluster_zoom", "annotate_transfer", "annotate_celltypist"}
    assert set(jobs["rule"]) >= set(RULES) - unasked
    jobs["used"] = [_peak(ROOT / path) for path in jobs["benchmark"]]
    # what ingest reads is gone by now, and so unknown
    known = jobs.dropna(subset=["used", "mem_mb"])
    assert set(RULES) - unasked - {"ingest"} <= set(known["rule"])
    over = known[known["used"] > known["mem_mb"]]
    assert over[["rule", "used", "mem_mb"]].to_dict("records") == []


def _peak(benchmark: Path) -> float:
    table = pd.read_csv(benchmark, sep="\t") if benchmark.exists() else pd.DataFrame()
    return float(pd.to_numeric(table["max_rss"], errors="coerce").max()) if len(table) else np.nan


def many_samples(folder: Path, number: int) -> None:
    """Write a project of as many libraries, whose files are empty."""
    (folder / "counts").mkdir()
    rows = []
    for index in range(number):
        name = f"s{index:03d}"
        (folder / "counts" / f"{name}.tsv.gz").touch()
        rows.append(
            {
                "sample": name,
                "dataset": "many",
                "file": f"counts/{name}.tsv.gz",
                "format": "tsv_cells_by_genes",
                "species": "mouse",
                "tissue": "spleen" if index % 2 else "bone marrow",
                "donor": f"m{index // 2}",
                "condition": "naive",
                "enrichment": "none",
                "chemistry": "10x 3' v3",
            }
        )
    pd.DataFrame(rows).to_csv(folder / "samples.tsv", sep="\t", index=False)
    (folder / "config.yaml").write_text(yaml.safe_dump({**CONFIG, "annotate": {}}))


def test_a_user_s_value_wins_and_a_second_attempt_asks_for_more(tmp_path, table):
    """The only file is empty, so that it fails twice."""
    many_samples(tmp_path, 1)
    wanted = ("--set-resources", "merge:mem_mb=16000", "ingest_file:runtime=7")
    run = snakemake(tmp_path, "--cores", "1", "--resources", "mem_mb=32000", "-n", *wanted)
    planned = planned_jobs(run.stdout + run.stderr).set_index("rule")
    assert planned.loc["merge", "mem_mb"] == 16000
    assert planned.loc["ingest_file", "runtime"] == 7
    assert planned.loc["ingest_file", "disk_mb"] == asked(
        table.loc["ingest_file"], "disk_mb", 0.006
    )
    run = snakemake(tmp_path, "--cores", "1", "--resources", "mem_mb=32000", "--retries", "1")
    assert run.returncode != 0
    said = re.findall(r"rule ingest_file:\n(?: .*\n)*? +resources: .*\bmem_mb=(\d+)", run.stderr)
    assert len(said) == 2, run.stderr[-3000:]
    assert int(said[1]) == pytest.approx(1.5 * int(said[0]), abs=1)


def test_many_samples_are_few_submitted_jobs(tmp_path):
    pytest.importorskip("snakemake_executor_plugin_slurm")
    number = 60
    many_samples(tmp_path, number)
    run = snakemake(tmp_path, "-n", "--workflow-profile", str(ROOT / "profiles" / "slurm"))
    assert run.returncode == 0, run.stderr[-3000:]
    said = run.stdout + run.stderr
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text(encoding="utf-8"))
    groups, components = profile["groups"], profile["group-components"]
    submitted = re.findall(r"(?m)^\[[^]]*\] Group job (\w+) ", said)
    for rule in ("ingest_file", "ingest", "qc", "qc_page"):
        assert len(re.findall(rf"(?m)^ +rule {rule}:$", said)) == number
        assert submitted.count(groups[rule]) == -(-number // components[groups[rule]])
    alone = set(re.findall(r"(?m)^rule (\w+):", said)) - {"all"}
    assert not alone & set(groups)
    assert len(submitted) < number / 4
