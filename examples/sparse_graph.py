"""A graph and a heated plate, as sparse arrays.

PageRank (S. Brin and L. Page, *The Anatomy of a Large-Scale Hypertextual Web Search Engine*, 1998,
section 2.1) of the graph of Zachary's karate club, which NetworkX ships; its largest in-flow is the
instructor's or the president's. Then the temperature of a plate: the matrix of the five-point
Laplacian carries mW/K, `cg` is JAX's own and runs on it unchanged, and the answer is compared with
SciPy's direct solver.

    python examples/sparse_graph.py [--output sparse_graph.png]
"""

import argparse
from pathlib import Path
from typing import Any

import jax.scipy.sparse.linalg
import numpy as np
import scipy.sparse
import scipy.sparse.linalg

import sciquax.numpy as jnp
from sciquax import quaxify
from sciquax.sparse import BCOO
from sciquax.units import Quantity


def pagerank(links, damping=0.85, steps=100):
    """The stationary visits of a surfer who follows links, and jumps anywhere now and then."""
    n = links.shape[0]
    out_degree = links.sum(axis=1)
    rank = jnp.full(n, 1 / n)
    for _ in range(steps):
        rank = damping * ((rank / out_degree) @ links) + (1 - damping) / n
    return rank


def heated_plate(side):
    """The conductances between the points of a square grid whose rim is kept at zero."""
    neighbours = scipy.sparse.eye_array(side, k=1)
    eye = scipy.sparse.eye_array(side)
    line = 2 * eye - neighbours - neighbours.T
    return (scipy.sparse.kron(line, eye) + scipy.sparse.kron(eye, line)).tocsr()


def main(side: int = 60, output: Path | None = None) -> None:
    # Who leads the karate club? Members 0 (the instructor) and 33 (the president) split it.
    import networkx

    graph: Any = networkx.karate_club_graph()
    unweighted: Any = None
    club = networkx.to_scipy_sparse_array(graph, weight=unweighted)
    rank = quaxify(pagerank)(BCOO.from_scipy(club.astype(np.float32)))
    reference = networkx.pagerank(graph, tol=1e-10, weight=unweighted)
    print("PageRank of the karate club: members", *np.argsort(-np.asarray(rank))[:4])
    error = max(abs(float(rank[k]) - v) for k, v in reference.items())
    print(f"  largest difference from NetworkX: {error:.1e}")
    assert error < 1e-5

    laplacian = heated_plate(side)
    conductance = Quantity(BCOO.from_scipy(laplacian.astype(np.float32)), "mW/K")
    heat = np.zeros((side, side), np.float32)
    heat[side // 4, side // 3] = 50.0
    power = Quantity(heat.reshape(-1), "uW")

    def solve(conductance, power):
        start = 0 * power / Quantity(1.0, "mW/K")  # `cg` starts in the unit of its answer
        return jax.scipy.sparse.linalg.cg(lambda t: conductance @ t, power, x0=start, tol=1e-7)

    temperature, _ = quaxify(solve)(conductance, power)
    exact = np.asarray(
        scipy.sparse.linalg.spsolve(laplacian.tocsc(), heat.reshape(-1).astype(float))
    )
    hottest = temperature.max().to("mK")
    error = float(np.abs(temperature.m_as("mK") - exact).max() / exact.max())
    print(f"Plate of {side} x {side} points: hottest {hottest:.2f}, off by {error:.1e}")
    assert error < 1e-4
    stored, dense = 5 * side**2 * 12, 4 * side**4
    print(f"  about {stored / 1e3:.0f} kB of matrix instead of {dense / 1e6:.0f} MB")
    if output is not None:
        draw(graph, np.asarray(rank), temperature.m_as("mK").reshape(side, side), output)


def draw(graph: Any, rank: Any, temperature: Any, path: Path) -> None:
    """The club, larger circles for more visits; and the plate."""
    import networkx
    from matplotlib import pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    with plot_units():
        figure, (top, bottom) = plt.subplots(2, figsize=(5.5, 9), layout="constrained")
        places = networkx.kamada_kawai_layout(graph)
        networkx.draw_networkx_edges(graph, places, ax=top, edge_color="0.8")
        networkx.draw_networkx_nodes(
            graph, places, ax=top, node_size=list(6000 * rank), node_color="#9ecae1"
        )
        networkx.draw_networkx_labels(graph, places, ax=top, font_size=8)
        top.set(title="The karate club: the area of a circle is its PageRank")
        top.axis("off")
        image = bottom.imshow(temperature, origin="lower", cmap="inferno")
        bottom.set(title="Temperature of the plate", xlabel="column", ylabel="row")
        figure.colorbar(image, ax=bottom, label="temperature (mK)")
        figure.savefig(path, dpi=150)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path)
    main(output=parser.parse_args().output)
