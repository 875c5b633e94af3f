"""Everything private to JAX or Equinox, or different between their releases."""

from .known import check_known

check_known()
