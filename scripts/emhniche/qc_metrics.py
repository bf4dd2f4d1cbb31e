"""How deep, how broad and of what kind is each barcode?"""

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

MITO_PREFIX = ("mt-", "MT-")
RIBO_PREFIX = ("Rps", "Rpl", "RPS", "RPL")
HB_PATTERN = r"^(?:Hb[ab]-|Hb[abq]\d|HB[ABDEGQZM]\d?$)"


def barcode_metrics(counts: ad.AnnData) -> pd.DataFrame:
    """Depth, breadth and composition of each barcode.

    Parameters
    ----------
    counts
        Barcodes x genes, raw counts.

    Returns
    -------
    pandas.DataFrame
        One row a barcode: ``barcode``; ``n_counts`` (UMIs); ``n_genes`` (genes with a count);
        ``pct_mito``, ``pct_ribo``, ``pct_hb`` (per cent of the UMIs; NaN when the matrix holds no
        such gene or the barcode no UMI); ``complexity`` (log10 genes / log10 UMIs).
    """
    matrix = sparse.csr_matrix(counts.X)
    total = np.asarray(matrix.sum(axis=1), dtype=float).ravel()
    n_genes = matrix.getnnz(axis=1)
    names = counts.var_names
    groups = {
        "pct_mito": names.str.startswith(MITO_PREFIX),
        "pct_ribo": names.str.startswith(RIBO_PREFIX),
        "pct_hb": names.str.contains(HB_PATTERN),
    }
    table = pd.DataFrame({"barcode": counts.obs_names, "n_counts": total, "n_genes": n_genes})
    with np.errstate(divide="ignore", invalid="ignore"):
        for column, mask in groups.items():
            part = np.asarray(matrix[:, mask].sum(axis=1), dtype=float).ravel()
            table[column] = part / total * 100 if mask.any() else np.nan
        complexity = np.log10(n_genes) / np.log10(total)
    table["complexity"] = np.where(total > 1, complexity, np.nan)
    return table
