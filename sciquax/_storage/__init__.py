"""What structured, zero, sparse, LoRA and quantised arrays share: no type with a public name.

It hands nothing on: these five packages import its files.
"""
