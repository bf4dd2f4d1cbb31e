"""The science of the emh-niche pipeline.

Each stage of the workflow is one module of the same name, usable without Snakemake:
``fetch``, ``ingest``, ``qc``, ``merge``, ``integrate``, ``cluster``, ``annotate``, ``score``,
``niche``, ``myeloid`` and ``report``. Nothing in this package imports snakemake.
"""

__version__ = "0.1.0"
