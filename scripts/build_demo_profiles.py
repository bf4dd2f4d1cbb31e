"""Compute resources/demo/profiles.tsv from a finished run of the public data.

make public
python scripts/build_demo_profiles.py results/public resources/demo
"""

import argparse
import logging
import sys
from pathlib import Path

from emhniche.errors import InputError
from emhniche.io import read_h5ad, read_table, write_table
from emhniche.profile_build import build_profiles, listed_genes


def main() -> None:
    """Read the run, compute the profiles, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of config/public.yaml")
    parser.add_argument("output", type=Path, help="folder that holds programmes.tsv")
    parser.add_argument("--resources", type=Path, default=Path("resources"), help="gene tables")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        for name in ("cells.h5ad", "annotate/annotation.parquet"):
            if not (args.run / name).is_file():
                raise InputError(f"{args.run}: no {name} in it; run `make public` first")
        if not (args.output / "programmes.tsv").is_file():
            raise InputError(f"{args.output}: no programmes.tsv in it; give resources/demo")
        table = build_profiles(
            read_h5ad(args.run / "cells.h5ad"),
            read_table(args.run / "annotate" / "annotation.parquet"),
            listed=listed_genes(args.resources),
            named=list(read_table(args.output / "programmes.tsv")["gene"]),
        )
    except InputError as error:
        sys.exit(str(error))
    write_table(table, args.output / "profiles.tsv")


if __name__ == "__main__":
    main()
