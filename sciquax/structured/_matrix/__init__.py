"""What all matrices have in common: the base class, properties, operators, systems."""
