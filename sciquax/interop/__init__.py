"""Adapters to other libraries, one module each. Import the one you need."""
