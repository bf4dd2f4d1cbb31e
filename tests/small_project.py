"""A project folder as a user has it, small: spleen and marrow of three mice, one effect planted.

The cells of the first spleen have labels, and a CellTypist model knows the kinds of the spleen.
"""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import yaml

from fake_celltypist import write_model
from planted import library

SPLEEN = {"B": 90, "T": 70, "monocyte_macrophage": 50, "neutrophil": 40}
MARROW = {"B": 40, "erythroid": 90, "monocyte_macrophage": 60, "neutrophil": 60}
CONFIG = {
    "run": "planted",
    "samples": "samples.tsv",
    "merge": {"n_hvg": 300},
    "integrate": {"n_latent": 8, "scvi": {"epochs": 3, "min_cell_visits": 20_000}},
    "cluster": {"zoom": ["myeloid"]},
    "annotate": {"label_samples": ["m0_spleen"]},
    "score": {"n_random": 20},
    "myeloid": {"n_random": 20},
}


def make_project(folder: Path) -> Path:
    """Write counts, sample sheet and configuration into a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for donor in range(3):
        for tissue, mix, kitl in (("spleen", SPLEEN, 0.4), ("bone marrow", MARROW, 3.0)):
            name = f"m{donor}_{tissue.split()[-1]}"
            rng = np.random.default_rng(100 + len(rows))
            cells = library(mix, seed=len(rows), ambient=0.02, batch_shift=0.15)
            with_panel(cells, rng, kitl).to_csv(folder / f"{name}.tsv.gz", sep="\t")
            files = f"{name}.tsv.gz"
            if name == "m0_spleen":
                labels = cells.obs[["truth"]].rename_axis("barcode")
                labels.to_csv(folder / f"{name}_cells.tsv.gz", sep="\t")
                files += f";{name}_cells.tsv.gz"
            rows.append(
                {
                    "sample": name,
                    "dataset": "planted",
                    "file": files,
                    "labels": "truth" if ";" in files else "",
                    "format": "tsv_cells_by_genes",
                    "species": "mouse",
                    "tissue": tissue,
                    "donor": f"m{donor}",
                    "condition": "naive",
                    "enrichment": "none",
                    "chemistry": "10x 3' v3",
                }
            )
    pd.DataFrame(rows).to_csv(folder / "samples.tsv", sep="\t", index=False)
    model = {"model": "model.pkl", "sha256": write_model(folder / "model.pkl", SPLEEN)}
    config = {**CONFIG, "annotate": {**CONFIG["annotate"], "celltypist": model}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def with_panel(cells: ad.AnnData, rng: np.random.Generator, kitl: float) -> pd.DataFrame:
    """Add three panel genes: Kitl rises in monocytes of the marrow, Tnf nowhere, Lif is unseen."""
    monocyte = (cells.obs["truth"] == "monocyte_macrophage").to_numpy()
    extra = np.column_stack(
        [
            rng.poisson(np.where(monocyte, kitl, 0.01)),
            rng.poisson(0.6, cells.n_obs),
            np.zeros(cells.n_obs),
        ]
    )
    return pd.DataFrame(
        np.hstack([cells.X.toarray(), extra]).astype(int),
        columns=[*cells.var_names, "Kitl", "Tnf", "Lif"],
        index=pd.Index(cells.obs_names, name="barcode"),
    )
