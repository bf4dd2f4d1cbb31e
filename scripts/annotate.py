"""Rule `annotate`: name the clusters."""

from emhniche.logs import job_log

with job_log(snakemake.log[0]):
    from emhniche import io
    from emhniche.ambient_genes import flag_markers
    from emhniche.annotate import annotate_clusters
    from emhniche.marker_levels import marker_levels
    from emhniche.resources import load_ambient, load_lineages, load_panel, without_panel

    species = snakemake.params.species
    lineages = without_panel(
        load_lineages(snakemake.input.lineages, species), load_panel(snakemake.input.panel, species)
    )
    clusters = io.read_table(snakemake.input.clusters).set_index(io.CELL_ID)["cluster"]
    found = io.read_table(snakemake.input.found_again)
    found = found[found["chosen"]]
    cells = io.read_h5ad(snakemake.input.cells)
    annotation, named, markers = annotate_clusters(
        cells,
        clusters,
        lineages,
        seed=snakemake.params.seed,
        found_again=found.set_index(found["cluster"].astype(str))["found_again"],
        **snakemake.params.settings,
    )
    listed = load_ambient(snakemake.input.ambient, species)
    markers, named = flag_markers(cells, clusters, named, markers, listed)
    io.write_table(annotation, snakemake.output.annotation)
    io.write_table(named, snakemake.output.clusters)
    io.write_table(markers, snakemake.output.markers)
    io.write_table(marker_levels(cells, clusters, markers), snakemake.output.levels)
