"""Arrays with structure: matrices, low-rank updates, sparse and quantised arrays, zeros."""

from ._zero import Zero as Zero
