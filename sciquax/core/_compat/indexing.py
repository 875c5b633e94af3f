"""JAX's functions that split `x[index]` and `x.at[index].set(v)` into primitives."""

from jax._src.numpy import indexing  # private: 0.10 to 0.12 (rewriting_take)
from jax._src.ops import scatter  # private: 0.10 to 0.12 (_scatter_update)

rewriting_take = indexing.rewriting_take
scatter_update = scatter._scatter_update
