"""Rows that belong together, against scipy's connected components."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix, csgraph

from tlkit.stats.connected_components import connected_components


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.lists(st.integers(0, n - 1), max_size=4), max_size=12))
    )
)
def test_units_are_the_connected_components_in_the_order_of_their_first_rows(case):
    n, groups = case
    pairs = [(group[0], row) for group in groups for row in group[1:]]
    rows, columns = zip(*pairs, strict=True) if pairs else ((), ())
    edges = coo_matrix((np.ones(len(pairs)), (rows, columns)), shape=(n, n))
    components = csgraph.connected_components(edges, directed=False)[1]
    units = connected_components(n, groups)
    assert list(dict.fromkeys(units.tolist())) == list(range(len(set(components))))
    assert len(set(zip(units.tolist(), components.tolist(), strict=True))) == len(set(components))
