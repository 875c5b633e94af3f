"""From a primitive and the types of its operands to the rule that interprets it."""
