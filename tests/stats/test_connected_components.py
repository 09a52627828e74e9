"""Connected components against networkx."""

from __future__ import annotations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from tlkit.stats.connected_components import connected_components


@given(
    st.integers(1, 30).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.lists(st.integers(0, n - 1), max_size=4), max_size=12))
    )
)
def test_components_are_those_of_networkx_in_the_order_of_their_first_rows(case):
    n, groups = case
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((group[0], row) for group in groups for row in group[1:])
    components = connected_components(n, groups).tolist()
    assert list(dict.fromkeys(components)) == list(range(len(set(components))))
    assert {frozenset(i for i in range(n) if components[i] == c) for c in components} == {
        frozenset(component) for component in nx.connected_components(graph)
    }


def test_no_rows_have_no_component():
    assert connected_components(0, []).tolist() == []
