"""What structured, zero, sparse, LoRA and quantised arrays share; no type that a user meets by name.

It hands nothing on: these five packages import its files.
"""
