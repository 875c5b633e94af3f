"""Rules for whole JAX functions: how calls are recognised, kept as one equation, and answered."""
