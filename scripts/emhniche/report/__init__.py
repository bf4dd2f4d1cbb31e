"""What does the run say, and how can a reader check it?

The report stage writes nothing new: it reads the tables of the other stages and puts them in words,
figures and one joined file.

========================  ====================================================================
:mod:`.index_page`        ``report/index.html``: the findings of the run in the order it was made
:mod:`.sample_page`       ``samples/<sample>/qc.html``: what came in, what was lost and why
:mod:`.atlas`             ``atlas.h5ad``: counts and every per-cell table in one file
:mod:`.provenance`        ``provenance.json``: versions, seeds, settings, checksums, hardware
========================  ====================================================================

:mod:`.tables` reads a run, :mod:`.findings` says what it found, :mod:`.methods` says how,
:mod:`.words` writes numbers and names, :mod:`.figures` draws, :mod:`.interactive` packs the map of
cells and :mod:`.render` puts it all on a page.
"""
