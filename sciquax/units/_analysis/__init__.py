"""What can be found out about a program's units: unknown units, good scales, dimensionless products."""
