"""A second opinion on who talks to whom: LIANA+ on the same cells, laid beside our pairs.

LIANA needs pandas below 3 and has an environment of its own; see docs/supply.md. It is run donor by
donor and tissue by tissue on lineages, as ``niche/ligand_receptor.tsv`` is made.
"""

from argparse import ArgumentParser
from pathlib import Path

import anndata as ad
import liana
import pandas as pd
import scanpy as sc

KEYS = ["niche", "dataset", "condition", "unit", "ligand", "receptor", "sender", "receiver"]
RESOURCES = {"mouse": "mouseconsensus", "human": "consensus"}


def second_opinion(results: Path, species: str) -> pd.DataFrame:
    """Return our scored pairs with LIANA's rank of each, by unit, sender and receiver."""
    ours = pd.read_csv(results / "niche/ligand_receptor.tsv", sep="\t", dtype={"condition": str})
    ours = ours[ours["score"].notna()].fillna({"condition": ""})
    cells = ad.read_h5ad(results / "cells.h5ad")
    named = pd.read_parquet(results / "annotate/annotation.parquet").set_index("cell_id")
    cells.obs["lineage"] = named["lineage"].astype(str).reindex(cells.obs_names)
    place = cells.obs[["niche", "dataset", "condition", "donor"]].astype(str)
    cells.obs["place"] = place.agg("|".join, axis=1)
    cells = cells[cells.obs["lineage"] != "unresolved"].copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    resource = liana.rs.select_resource(RESOURCES[species])
    parts = [resource[side].str.split("_") for side in ("ligand", "receptor")]
    wanted = [
        bool(set(a) & set(ours["ligand"])) and bool(set(b) & set(ours["receptor"]))
        for a, b in zip(*parts, strict=True)
    ]
    theirs = liana.mt.rank_aggregate.by_sample(
        cells, sample_key="place", groupby="lineage", resource=resource[wanted],
        use_raw=False, expr_prop=0.0, min_cells=20, seed=0, inplace=False,
    )  # fmt: skip
    theirs[KEYS[:4]] = theirs["place"].astype(str).str.split("|", expand=True)
    names = {"source": "sender", "target": "receiver", "ligand_complex": "ligand"}
    theirs = theirs.rename(columns={**names, "receptor_complex": "liana_receptor"})
    theirs["receptor"] = theirs["liana_receptor"].str.split("_")
    theirs = theirs.explode("receptor")[[*KEYS, "liana_receptor", "magnitude_rank"]]
    both = ours[[*KEYS, "sign", "score", "ambient"]].merge(theirs, how="left", on=KEYS)
    return both.assign(in_liana=both["magnitude_rank"].notna())


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("--species", choices=sorted(RESOURCES), required=True)
    given = parser.parse_args()
    table = second_opinion(given.results, given.species)
    table.to_csv(given.results / "niche/liana.tsv", sep="\t", index=False)
