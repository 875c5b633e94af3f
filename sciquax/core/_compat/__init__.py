"""Everything private to JAX or Equinox, or different between their releases."""
