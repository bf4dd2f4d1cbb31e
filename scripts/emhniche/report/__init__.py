"""What does the run say, and how can a reader check it?

The report stage writes nothing new: it reads the tables of the other stages and puts them in words,
figures and one joined file.

========================  ====================================================================
:mod:`.index_page`        ``report/index.html``: the findings of the run in the order it was made
:mod:`.sample_page`       ``samples/<sample>/qc.html``: what came in, what was lost and why
:mod:`.multiqc`           ``*_mqc.json`` beside the pages: what MultiQC shows of the samples
:mod:`.atlas`             ``atlas.h5ad``: counts and every per-cell table in one file
:mod:`.submission`        ``atlas_cellxgene.h5ad``: the same keyed by Ensembl id, on demand
:mod:`.provenance`        ``provenance.json``: versions, seeds, settings, checksums, hardware
========================  ====================================================================

:mod:`.tables` reads a run, :mod:`.findings` says what it found, :mod:`.methods` says how,
:mod:`.words` writes numbers and names, :mod:`.figures` draws, :mod:`.interactive` packs the map of
cells (a large one in the squares of :mod:`.binned`) and :mod:`.render` puts it all on a page.
"""
