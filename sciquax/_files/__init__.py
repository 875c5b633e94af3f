"""One description of values for all file formats: the whole type beside the arrays.

`Quantity(array, "km")` is stored as its class, its unit and an array. Reading compares this with
the value that is to be filled, converts what may be converted, and refuses everything else by its
place. It hands nothing on: the packages whose types know more than their fields register it here.
"""
