"""The tables of the myeloid stage of a made-up run: with calls, with refusals, or empty."""

from pathlib import Path

import numpy as np
import pandas as pd

from emhniche.io import write_table
from emhniche.myeloid_clusters import CLUSTER_COLUMNS
from emhniche.myeloid_tables import CALL_COLUMNS, DONOR_COLUMNS, GATE_COLUMNS
from emhniche.subsets import SUBSET_COLUMNS
from fake_names import SCRIPT

SIGNATURES = ("PMN_MDSC_splenic_strict", "PMN_MDSC_activated", "M_MDSC")
EVIL_DONOR = f"{SCRIPT}&1"
DONORS = {
    **dict.fromkeys(("n1", "n2", "n3"), "reference"),
    "lps1": "inflammation_control",
    **dict.fromkeys((EVIL_DONOR, "t2", "t3"), "case"),
}
"""Donors of the run with calls, and their arms."""

PLACES = (("spleen", "d_spleen"), ("bone marrow", "d_marrow"))


def give_donors(cells: pd.DataFrame) -> pd.DataFrame:
    """Give the spleen cells the donors and arms that calls need."""
    donors = list(DONORS)
    spleen = (cells["dataset"] == "d_spleen").to_numpy()
    turn = pd.Series([donors[i % len(donors)] for i in range(len(cells))], index=cells.index)
    donor = turn.where(spleen, cells["donor"])
    arm = donor.map(DONORS).fillna("")
    return cells.assign(donor=donor, arm=arm)


def write_myeloid(root: Path, cells: pd.DataFrame, rng: np.random.Generator, *, state: str) -> None:
    """Write the tables of the myeloid stage.

    Parameters
    ----------
    root
        Results folder.
    cells
        Cells of the run; those of the type with the hostile name are neutrophils.
    rng
        Draws scores.
    state
        ``called`` (one gate in the spleen calls cells), ``refused`` or ``none`` (no myeloid cell).
    """
    neutrophils = cells[cells["cell_type"] == SCRIPT]
    calls = pd.concat([_calls(neutrophils, name, state, rng) for name in SIGNATURES])
    calls = calls.iloc[:0] if state == "none" else calls
    calls = calls.astype({"pathological": "boolean"}).reset_index(drop=True)
    hits = int(calls["pathological"].fillna(False).sum())
    gates = [_gate(place, name, state, hits) for place in PLACES for name in SIGNATURES]
    donors = pd.DataFrame(_donors() if state == "called" else [], columns=DONOR_COLUMNS)
    subsets = pd.DataFrame([_subset(calls)] if state == "called" else [], columns=SUBSET_COLUMNS)
    write_table(calls[CALL_COLUMNS], root / "myeloid/calls.parquet")
    write_table(pd.DataFrame(gates).reindex(columns=GATE_COLUMNS), root / "myeloid/gates.tsv")
    write_table(donors, root / "myeloid/donors.tsv")
    write_table(subsets, root / "myeloid/subsets.tsv")
    clusters = [_cluster(name, state) for name in SIGNATURES]
    write_table(
        pd.DataFrame(clusters, columns=CLUSTER_COLUMNS).iloc[: 0 if state == "none" else None],
        root / "myeloid/clusters.tsv",
    )


def _cluster(signature: str, state: str) -> dict:
    """Return a cluster's row: claimed by the first signature, or one without a cluster."""
    row = {"lineage": "neutrophil", "tissue": "spleen", "dataset": "d_spleen"}
    row |= {"signature": signature, "status": "not_testable", "code": "no_reference_arm"}
    row |= {"reason": "No cell here comes from a reference arm of naive donors."}
    if state == "called":
        claimed = signature == SIGNATURES[0]
        row |= {"cluster": "4", "cells": 80, "share_reference": 0.01, "share_case": 0.2}
        row |= {"composition_q": 0.001, "signature_effect": 4.0 if claimed else 0.1}
        row |= {"signature_q": 0.002 if claimed else 0.8, "status": "tested"}
        row |= {
            "code": "claimed" if claimed else "no_signature_excess",
            "markers": f"Cd84;{SCRIPT}",
        }
        row |= {"label": "MDSC-like (reactive)" if claimed else ""}
    return row


def _calls(
    cells: pd.DataFrame, signature: str, state: str, rng: np.random.Generator
) -> pd.DataFrame:
    tested = (cells["arm"] == "case") & (state == "called") & (signature == SIGNATURES[0])
    residual = rng.normal(size=len(cells)) + np.where(tested & (rng.random(len(cells)) < 0.5), 5, 0)
    hit = pd.array(residual > 3, dtype="boolean")
    hit[~tested.to_numpy()] = pd.NA
    status = np.select([tested, cells["arm"] != ""], ["tested", cells["arm"]], "score_only")
    return pd.DataFrame(
        {
            "cell_id": cells.index,
            "lineage": "neutrophil",
            "signature": signature,
            "maturation": rng.normal(size=len(cells)),
            "score": rng.uniform(size=len(cells)),
            "residual": residual,
            "p": np.nan,
            "q": np.nan,
            "pathological": hit,
            "status": status if state == "called" else "score_only",
        }
    )


def _gate(place: tuple[str, str], signature: str, state: str, hits: int) -> dict:
    row = {"lineage": "neutrophil", "tissue": place[0], "dataset": place[1]}
    row |= {"signature": signature, "cells": 30, "n_genes": 6, "reference_donors": 0}
    row |= {"case_donors": 0, "status": "score_only", "code": "no_reference_arm"}
    row["reason"] = f"No cell here comes from a reference arm. No case arm {SCRIPT}. Nothing."
    if state == "none":
        row |= {"status": "not_testable", "code": "no_lineage_cells", "cells": 0}
    elif state == "called" and place[0] == "spleen":
        row |= {"status": "tested", "reference_donors": 3, "case_donors": 3, "naive_limit": 1.6}
        row |= {"code": "no_donor_level_excess", "p": 0.41, "q": 0.62, "called": 0}
        if signature == SIGNATURES[0]:
            row |= {"code": "called", "p": 0.0012, "q": 0.0036, "threshold": 3.0, "effect": 0.4}
            row |= {"label": "MDSC-like (reactive)", "called": hits}
            row |= {"excess": 0.31, "excess_low": 0.22, "excess_high": 0.4}
    return row


def _donors() -> list[dict]:
    share = [0.02, 0.05, 0.08, 0.1, 0.31, 0.36, 0.4]
    key = {"lineage": "neutrophil", "tissue": "spleen", "dataset": "d_spleen"}
    return [
        key | {"signature": name, "donor": donor, "arm": arm, "role": arm, "exceedance": value}
        for name in SIGNATURES
        for (donor, arm), value in zip(DONORS.items(), share, strict=True)
    ]


def _subset(calls: pd.DataFrame) -> dict:
    return {
        "subset": f"MDSC-like (reactive) neutrophil ({SIGNATURES[0]})",
        "lineage": "neutrophil",
        "tissue": "spleen",
        "dataset": "d_spleen",
        "signature": SIGNATURES[0],
        "state": "all",
        "cells": int(calls["pathological"].fillna(False).sum()),
        "units": 3,
        "fraction": 0.4,
        "markers": f"Cd84;{SCRIPT}",
        "markers_per_unit": f"Cd84=3/3;{SCRIPT}=2/3",
        "marker_units": 3,
        "evidence": "3 case against 3 reference donors",
        "status": "tested",
    }
