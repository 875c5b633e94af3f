"""Units without quantities: pint's registry, interned units, contexts, conversion of magnitudes."""
