"""What does the whole pipeline say of one simulated cohort?

All stages that anything is judged by run in one process, with the calls and the settings that their
rules pass, and leave the files of a run in a folder. Layout, stability, scores, atlas and report
are left out: nothing is judged by them.
"""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import anndata as ad
import pandas as pd

from emhniche import io
from emhniche.ambient_genes import flag_markers
from emhniche.annotate import annotate_clusters
from emhniche.cluster import Clustering, cluster_cells
from emhniche.droplets import write_profile
from emhniche.genes import read_aliases
from emhniche.ingest import parse_files, select_sample
from emhniche.integrate import integrate
from emhniche.lineage import marker_sets
from emhniche.merge import Part, merge_samples
from emhniche.myeloid import call_myeloid
from emhniche.niche import compare_niches
from emhniche.qc import qc_sample
from emhniche.resources import (
    load_ambient,
    load_ligand_receptor,
    load_lineages,
    load_panel,
    load_signatures,
    without_panel,
)
from emhniche.settings import Run

COHORT = "simulate/cohort.h5ad"
"""The simulated counts, which the samples are cut out of."""

CELLS = "simulate/cells.parquet"
RATES = "simulate/rates.tsv"
"""What each barcode was simulated as; no stage reads it."""

NAMING = ("min_score", "min_confidence", "n_resamples")
"""Settings of `annotate` that its names come from."""

logger = logging.getLogger(__name__)


def run_stages(folder: Path, run: Run) -> dict[str, float]:
    """Run the stages from the simulated counts to the tables.

    Parameters
    ----------
    folder
        Folder of the run, which holds :data:`COHORT`. The other files are written beside it, under
        the names that the workflow gives them.
    run
        The checked run. Its clusters come from ``integrate.primary``.

    Returns
    -------
    dict
        Seconds of processor time that each stage took.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "ingest"):
        samples = _ingest(folder, run)
    with _timed(seconds, "qc"):
        for sample, counts in samples.items():
            _qc(folder, run, sample, counts)
    with _timed(seconds, "merge"):
        _merge(folder, run)
        cells = io.read_h5ad(folder / "cells.h5ad")
    with _timed(seconds, "integrate"):
        latent = _integrate(folder, run, cells)
    with _timed(seconds, "cluster"):
        clusters = _cluster(folder, run, latent)
    with _timed(seconds, "annotate"):
        annotation = _annotate(folder, run, cells, clusters)
    with _timed(seconds, "niche"):
        _niche(folder, run, cells, annotation)
    with _timed(seconds, "myeloid"):
        _myeloid(folder, run, cells, annotation)
    return seconds


def sample_folder(folder: Path, sample: str) -> Path:
    """Return the folder of one sample's files."""
    return folder / "samples" / sample


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.process_time()
    yield
    seconds[stage] = time.process_time() - start
    logger.info("%s: %.1f s", stage, seconds[stage])


def _ingest(folder: Path, run: Run) -> dict[str, ad.AnnData]:
    """Cut the samples out of the cohort."""
    parsed = parse_files(
        [folder / COHORT],
        file_format="h5ad",
        aliases=read_aliases(run.config["resources"]["aliases"], run.species),
        species=run.species,
    )
    samples = {}
    for sample, row in run.samples.iterrows():
        counts = select_sample(parsed, sample=sample, select=row["select"], labels=row["labels"])
        io.write_h5ad(counts, sample_folder(folder, sample) / "counts.h5ad")
        samples[sample] = counts
    return samples


def _qc(folder: Path, run: Run, sample: str, counts: ad.AnnData) -> None:
    lineages = load_lineages(run.config["resources"]["lineages"], run.species)
    table, _, soup = qc_sample(
        counts,
        marker_sets(lineages, finer=False),
        load_signatures(run.config["resources"]["signatures"], run.species),
        sample=sample,
        species=run.species,
        chemistry=run.samples.at[sample, "chemistry"],
        cells_loaded=run.samples.at[sample, "cells_loaded"],
        enrichment=run.samples.at[sample, "enrichment"],
        seed=run.config["seed"],
        **run.config["qc"],
    )
    io.write_table(table, sample_folder(folder, sample) / "qc.parquet")
    write_profile(soup.profile, sample_folder(folder, sample) / "soup.parquet")


def _merge(folder: Path, run: Run) -> None:
    paths, species = run.config["resources"], run.species
    folders = [sample_folder(folder, sample) for sample in run.samples.index]
    merge_samples(
        [
            Part(sample, own / "counts.h5ad", own / "qc.parquet", own / "soup.parquet")
            for sample, own in zip(run.samples.index, folders, strict=True)
        ],
        run.samples,
        folder / "cells.h5ad",
        panel=load_panel(paths["panel"], species),
        signatures=load_signatures(paths["signatures"], species),
        lineages=load_lineages(paths["lineages"], species),
        **run.config["merge"],
    )


def _integrate(folder: Path, run: Run, cells: ad.AnnData) -> pd.DataFrame:
    settings = run.config["integrate"]
    method = settings["primary"]
    found = integrate(
        cells,
        method=method,
        n_latent=settings["n_latent"],
        batch_key=settings["batch_key"],
        seed=run.config["seed"],
        threads=1,
        **settings.get(method, {}),
    )
    io.write_table(found.latent, folder / "integration" / method / "latent.parquet")
    return found.latent


def _cluster(folder: Path, run: Run, latent: pd.DataFrame) -> Clustering:
    elsewhere = ("zoom", "layout_accelerator")
    settings = {k: v for k, v in run.config["cluster"].items() if k not in elsewhere}
    found = cluster_cells(latent, seed=run.config["seed"], **settings)
    io.write_table(found.clusters, folder / "cluster" / "clusters.parquet")
    return found


def _annotate(folder: Path, run: Run, cells: ad.AnnData, found: Clustering) -> pd.DataFrame:
    paths, species = run.config["resources"], run.species
    lineages = without_panel(
        load_lineages(paths["lineages"], species), load_panel(paths["panel"], species)
    )
    annotation, named, markers = annotate_clusters(
        cells,
        found.clusters.set_index(io.CELL_ID)["cluster"],
        lineages,
        seed=run.config["seed"],
        found_again=found.of_clusters(),
        **{key: run.config["annotate"][key] for key in NAMING},
    )
    markers, named = flag_markers(
        cells,
        found.clusters.set_index(io.CELL_ID)["cluster"],
        named,
        markers,
        load_ambient(paths["ambient"], species),
    )
    io.write_table(annotation, folder / "annotate" / "annotation.parquet")
    io.write_table(named, folder / "annotate" / "clusters.tsv")
    io.write_table(markers, folder / "annotate" / "markers.tsv")
    return annotation


def _niche(folder: Path, run: Run, cells: ad.AnnData, annotation: pd.DataFrame) -> None:
    paths, species = run.config["resources"], run.species
    panel = load_panel(paths["panel"], species)
    tables = compare_niches(
        cells,
        annotation,
        panel,
        load_ligand_receptor(paths["ligand_receptor"], species, panel),
        **run.config["niche"],
        seed=run.config["seed"],
    )
    for field in fields(tables):
        io.write_table(getattr(tables, field.name), folder / "niche" / f"{field.name}.tsv")


def _myeloid(folder: Path, run: Run, cells: ad.AnnData, annotation: pd.DataFrame) -> None:
    settings = dict(run.config["myeloid"])
    tables = call_myeloid(
        cells,
        annotation,
        load_signatures(run.config["resources"]["signatures"], run.species),
        names=settings.pop("signatures"),
        seed=run.config["seed"],
        **settings,
    )
    io.write_table(tables.calls, folder / "myeloid" / "calls.parquet")
    for name in ("donors", "gates", "subsets", "clusters"):
        io.write_table(getattr(tables, name), folder / "myeloid" / f"{name}.tsv")
