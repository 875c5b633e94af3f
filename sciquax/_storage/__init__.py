"""Helpers that structured, zero, sparse, LoRA and quantised arrays share. No type here is public.

It hands nothing on: these five packages import its files.
"""
