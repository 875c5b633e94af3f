"""Operations that align by name."""
