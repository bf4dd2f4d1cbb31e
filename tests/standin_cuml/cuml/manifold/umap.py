"""The one function that the layout calls, with its signature, computed by umap-learn."""

import numpy as np
from umap.umap_ import simplicial_set_embedding as on_cpu


def simplicial_set_embedding(
    data,
    graph,
    n_components=2,
    initial_alpha=1.0,
    a=None,
    b=None,
    gamma=1.0,
    negative_sample_rate=5,
    n_epochs=None,
    init="spectral",
    random_state=None,
    force_serial_epochs=None,
    metric="euclidean",
    metric_kwds=None,
    output_metric="euclidean",
    output_metric_kwds=None,
    verbose=False,
):
    place, _ = on_cpu(
        data,
        graph,
        n_components,
        initial_alpha,
        a,
        b,
        gamma,
        negative_sample_rate,
        n_epochs,
        init,
        np.random.RandomState(random_state),
        metric,
        metric_kwds or {},
        densmap=False,
        densmap_kwds={},
        output_dens=False,
        verbose=verbose,
    )
    return place
