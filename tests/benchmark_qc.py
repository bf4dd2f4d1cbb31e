"""What would one cut-off for a whole tissue delete that thresholds within lineages keep?

    python tests/benchmark_qc.py results/public docs/qc_cutoffs.tsv

Reads the finished public run: barcodes of the Mouse Cell Atlas spleen with their published labels,
and of Klein's marrow with the coarse lineage of quality control, since they have no label. A group
is counted in barcodes of at least 300 UMIs.
"""

import sys
from pathlib import Path

import pandas as pd

from emhniche import io

MIN_COUNTS = 300
SPLEEN = {
    "Granulocyte(Spleen)": "granulocyte",
    "Neutrophil(Spleen)": "neutrophil",
    "Erythroblast(Spleen)": "erythroblast",
}
LOW = ("low_counts", "low_genes")
RULES = {
    "within lineage: low counts or genes": lambda t: t["reason"].isin(LOW),
    "within lineage: any mitochondrial limit": lambda t: t["reason"] == "high_mito",
    "global: fewer than 200 genes": lambda t: t["n_genes"] < 200,
    "global: fewer than 500 genes": lambda t: t["n_genes"] < 500,
    "global: mitochondria above 5 %": lambda t: t["pct_mito"] > 5,
    "global: mitochondria above 10 %": lambda t: t["pct_mito"] > 10,
    "global: 200 genes and 5 %": lambda t: (t["n_genes"] < 200) | (t["pct_mito"] > 5),
    "global: 500 genes and 10 %": lambda t: (t["n_genes"] < 500) | (t["pct_mito"] > 10),
}


def groups(results: Path) -> pd.DataFrame:
    """Return the barcodes of both datasets with ``dataset`` and ``group``."""
    tables = []
    for folder in sorted((results / "samples").iterdir()):
        table = io.read_table(folder / "qc.parquet")
        if folder.name == "mca_spleen":
            labels = io.read_obs(folder / "counts.h5ad")["label"].astype(str)
            table["group"] = labels.map(SPLEEN).reindex(table["barcode"]).to_numpy()
            table["dataset"] = "MCA spleen (published label)"
        elif folder.name.startswith("klein_"):
            table["group"] = table["lineage"]
            table["dataset"] = "Klein marrow (coarse lineage)"
        else:
            continue
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    wanted = table["group"].isin([*SPLEEN.values(), "erythroid", "neutrophil"])
    return table[wanted & (table["n_counts"] >= MIN_COUNTS)]


def losses(table: pd.DataFrame) -> pd.DataFrame:
    """Return what each rule drops of each group."""
    rows = []
    for (dataset, group), part in table.groupby(["dataset", "group"], sort=True):
        for rule, drops in RULES.items():
            lost = int(drops(part).sum())
            rows.append((dataset, group, len(part), rule, lost, 100 * lost / len(part)))
    return pd.DataFrame(
        rows, columns=["dataset", "group", "barcodes", "rule", "dropped", "percent"]
    )


if __name__ == "__main__":
    io.write_table(losses(groups(Path(sys.argv[1]))), sys.argv[2])
