"""Write the atlas keyed by Ensembl id, and let CELLxGENE's validator judge it.

The validator needs an older anndata and has an environment of its own (`make cellxgene`); see
docs/report.md. The genes it knows (GENCODE) come with it.
"""

import sys
from argparse import ArgumentParser
from pathlib import Path

import cellxgene_schema
import h5py
import pandas as pd
from anndata.io import read_elem
from cellxgene_schema.validate import validate

from emhniche.report.cellxgene import ORGANISMS
from emhniche.report.submission import write_submission

GENES = {
    ORGANISMS["mouse"]: "genes_mus_musculus.csv.gz",
    ORGANISMS["human"]: "genes_homo_sapiens.csv.gz",
}


if __name__ == "__main__":
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    given = parser.parse_args()
    atlas, output = (given.results / f"atlas{kind}.h5ad" for kind in ("", "_cellxgene"))
    if not atlas.is_file():
        sys.exit(f"error: {atlas} does not exist; give the results folder of a finished run")
    with h5py.File(atlas) as file:
        organism = read_elem(file["uns/organism_ontology_term_id"])
    table = Path(cellxgene_schema.__file__).parent / "gencode_files" / GENES[organism]
    reference = pd.read_csv(table, header=None, usecols=[0, 1], names=["gene_id", "symbol"])
    outcome = write_submission(atlas, output, reference=reference)
    print(*outcome.lines(), sep="\n")
    valid = validate(str(output))[0]
    print(f"{output}: {'valid' if valid else 'not valid, see the errors above'}")
    sys.exit(not valid)
