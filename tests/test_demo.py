"""The aliased cohort, inflamed and without a tumour, through all stages: nothing is called.

The stages run in one process with the calls and settings of the rules. The demo itself is run by
its rules, in `test_demo_pages.py`.
"""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from emhniche import io
from emhniche.judging import judge
from emhniche.planting import check_plants
from emhniche.settings import Run, load_run
from emhniche.simulate import load_cell_model, simulate
from emhniche.trial import CELLS, RATES, run_stages
from emhniche.truths import Truth

ROOT = Path(__file__).resolve().parents[1]


def shipped(name: str, **changes: object) -> Run:
    """Return a run of a shipped configuration."""
    config = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
    return load_run(config | changes, ROOT, source=name)


def run_cohort(run: Run, truths: list[Truth], folder: Path) -> pd.DataFrame:
    """Simulate a cohort, run all stages on it and return the verdicts."""
    files = {key: path for key, path in run.sources.items() if key not in ("simulate", "truths")}
    gene_lists = {name: run.config["resources"][name] for name in ("lineages", "signatures")}
    model = load_cell_model(**files, **gene_lists)
    check_plants(truths, model.cell_types.index, model.rates.index, "truth.yaml")
    cohort, cells = simulate(run.study, model, truths, seed=run.config["seed"])
    io.write_h5ad(cohort, folder / "simulate" / "cohort.h5ad")
    io.write_table(cells, folder / CELLS)
    io.write_table(model.rates.rename_axis("gene").reset_index(), folder / RATES)
    run_stages(folder, run)
    return judge(truths, folder, run.study)


def listed(table: pd.DataFrame) -> str:
    return "\n" + table[["truth", "expected", "found", "verdict"]].to_string()


@pytest.fixture(scope="module")
def inflamed(tmp_path_factory):
    """Every tissue by its own chemistry; cases that are inflamed and have no tumour."""
    folder = tmp_path_factory.mktemp("inflamed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        run = shipped("aliased.yaml", integrate={"methods": ["pca"], "primary": "pca"})
        settings = deepcopy(run.study.settings)
        settings["arms"] = [
            {"condition": "naive", "arm": "reference", "mice": 4},
            {"condition": "LPS", "arm": "inflammation_control", "mice": 4},
            {"condition": "endotoxin", "arm": "case", "mice": 4},
        ]
        study = replace(run.study, settings=settings)
        schema = yaml.safe_load((ROOT / "workflow/schemas/samples.schema.yaml").read_text())
        run = replace(run, study=study, samples=study.sheet("cohort.h5ad", schema))
        niches = [one for one in run.config["niche"]["contrasts"] if one["factor"] == "niche"]
        run.config["niche"]["contrasts"] = niches
        truths = []
        for truth in map(lambda given: Truth(**given), run.truths):
            again = [
                plant | {"where": plant["where"] | {"condition": "endotoxin"}}
                for plant in truth.plant
                if plant.get("where", {}).get("condition") == "LPS"
            ]
            truths.append(replace(truth, plant=(*truth.plant, *again)))
        return folder, run_cohort(run, truths, folder)


def test_no_cell_of_inflamed_mice_is_called_mdsc_like(inflamed):
    folder, verdicts = inflamed
    own = verdicts[verdicts["truth"] == "inflammation_is_not_pathological"]
    assert own["verdict"].eq("right").all(), listed(own)
    gates = io.read_table(folder / "myeloid" / "gates.tsv")
    spleen = gates.query("tissue == 'spleen' and lineage == 'neutrophil'").set_index("signature")
    assert spleen.loc["PMN_MDSC_splenic_strict", "status"] == "tested"
    assert gates["called"].fillna(0).eq(0).all(), gates[["signature", "code", "called"]]
    taken_out = spleen.loc["PMN_MDSC_activated", "genes_inflamed"].split(";")
    assert {"Ccl3", "Ccl4", "Cxcl2"} <= set(taken_out)


def test_tissue_aliased_with_chemistry_gets_no_p_value(inflamed):
    folder, verdicts = inflamed
    own = verdicts[verdicts["truth"] == "niche_is_aliased"]
    assert len(own) == 3
    assert own["verdict"].eq("right").all(), listed(own)
    design = io.read_table(folder / "niche" / "design.tsv").set_index("contrast")
    assert design.loc["extramedullary_vs_marrow", "verdict"] == "not_identifiable"
    assert "chemistry" in design.loc["extramedullary_vs_marrow", "reason"]
    contrasts = io.read_table(folder / "niche" / "contrasts.tsv")
    assert len(contrasts) > 100
    assert contrasts[["ci_low", "ci_high", "p", "q"]].isna().all(axis=None)
