"""xarray: `DataArray`s and `Dataset`s to named arrays and back, and the files that xarray reads.

A unit stands in `attrs["units"]`, of the array and of each coordinate, as pint-xarray's
`dequantify` writes it and `quantify` reads it.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import xarray as xr

from sciquax.core import is_value, user_line
from sciquax.core.internal import wanted
from sciquax.named import AxisError, NamedArray
from sciquax.units import Quantity, UndefinedUnitError, unit

# CF's names of degrees, which pint does not know (CF Conventions, sections 4.1 and 4.2).
_CF = {
    **{f"degree{s}_{p}": "degree" for s in ("", "s") for p in ("north", "south", "east", "west")},
    **{f"degree{s}{p}": "degree" for s in ("", "s") for p in ("N", "E", "T")},
    "1": "dimensionless",
}  # fmt: skip


_DIFFERENCE = re.compile(r"delta_degree_\w+")


def to_xarray(a: NamedArray, name: str | None = None) -> xr.DataArray:
    """An `xarray.DataArray` with the dims, coordinates, attributes and unit of a named array.

    Axes without a name become `dim_0`, `dim_1`, as xarray has it.

    **Raises** `AxisError` if such a name is taken.

    ```python
    >>> import jax.numpy as jnp
    >>> from sciquax.named import NamedArray
    >>> from sciquax.units import Quantity
    >>> from sciquax.interop.xarray import to_xarray
    >>> to_xarray(NamedArray(Quantity(jnp.ones(2), "m"), ("x",))).attrs["units"]
    'meter'

    ```
    """
    wanted("to_xarray", a, NamedArray, "a named array")
    dims = [d if d is not None else f"dim_{i}" for i, d in enumerate(a.dims)]
    if len(set(dims)) != len(dims):
        raise AxisError(f"`to_xarray` needs names for all axes: {a.dims}.").at(user_line())
    values, own = _split(a.array)
    attrs = {**a.attrs, **own}
    if not own:
        attrs.pop("units", None)
    coords = {}
    for dim, (value, extra) in a.stored_coords().items():
        numbers, unit_attrs = _split(value)
        coords[dim] = xr.Variable(a.coord(dim).dims, numbers, {**extra, **unit_attrs})
    return xr.DataArray(
        values, coords=coords, dims=dims, attrs=attrs, name=a.name if name is None else name
    )


def _split(value: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """Numbers, and the unit as an attribute."""
    if isinstance(value, Quantity):
        text = str(value.units)
        if "delta_degree_" in text:  # pint's own; to CF and udunits a difference is in kelvin
            text = _DIFFERENCE.sub("kelvin", text)
            value = value.to(text)
        return np.asarray(value.magnitude), {"units": text}
    if is_value(value):
        value = value.materialise()
    return np.asarray(value), {}


def from_xarray(data: Any, *, units: Any = "parse", coords: bool = True) -> Any:
    """The named array that a `DataArray` is; a dictionary of them for a `Dataset`.

    **Arguments**: the data; `units`: "parse" reads `attrs["units"]`, None leaves numbers, and
    anything else is the unit (for a `Dataset`, a dictionary of variable to unit overrides some);
    `coords=False` leaves coordinates behind.

    Coordinates come along, with their units. Dates stay NumPy's. Numbers are converted to JAX's
    precision. A scale factor before a unit, CF's `1e-3 kg m-2`, multiplies the numbers.

    **Raises** `UndefinedUnitError` if a unit cannot be read: give it, or None.
    """
    if isinstance(data, xr.Dataset):
        given = units if isinstance(units, Mapping) else {}
        default = "parse" if isinstance(units, Mapping) else units
        return {
            str(k): from_xarray(v, units=given.get(k, default), coords=coords)
            for k, v in data.data_vars.items()
        }
    if isinstance(data, xr.Variable):
        data = xr.DataArray(data)
    wanted("from_xarray", data, xr.DataArray, "an array or a dataset of xarray")
    if hasattr(data.data, "units") and hasattr(data.data, "magnitude"):  # pint-xarray, quantified
        data = _dequantified(data)
    dims = tuple(str(d) for d in data.dims)
    attrs = dict(data.attrs)
    found, factor = _unit(attrs, units, f"variable {data.name!r}")
    known, items = {}, {}
    own_first = sorted(data.coords, key=lambda name: str(name) not in dims)
    for dim in map(str, own_first) if coords else ():
        variable = data.coords[dim]
        own = dict(variable.attrs)
        try:
            coordinate_unit, by = _unit(own, "parse", f"coordinate {dim!r}")
        except UndefinedUnitError:
            if units == "parse" and dim in dims:
                raise
            coordinate_unit, by = None, 1.0
        numbers = _times(np.asarray(variable.values), by)
        value = numbers if coordinate_unit is None else _quantity(numbers, coordinate_unit)
        known[dim] = value if dim in dims else (tuple(map(str, variable.dims)), value)
        items[dim] = own
    values = np.asarray(data.values)
    if values.dtype.kind not in "biufc":
        raise TypeError(f"A named array holds numbers, and {data.name!r} holds {values.dtype}.")
    values = _times(values, factor)
    array = jax.numpy.asarray(values)
    if values.dtype.kind in "iu" and not np.array_equal(np.asarray(array), values):
        raise OverflowError(
            f"{data.name!r} holds integers beyond JAX's {array.dtype}: convert it, "
            '`data.astype(float)`, or `jax.config.update("jax_enable_x64", True)`.'
        )
    held = array if found is None else Quantity(array, found)
    name = None if data.name is None else str(data.name)
    return NamedArray.with_attributes(held, dims, known, name=name, attrs=attrs, coord_attrs=items)


def _quantity(values: np.ndarray, found: Any) -> Quantity:
    """A quantity whose magnitude stays NumPy's: coordinates keep their precision."""
    template = Quantity(0.0, found)
    return jax.tree.unflatten(jax.tree.structure(template), [values])


def _dequantified(data: Any) -> Any:
    units = {"units": str(data.data.units)}
    coords = {k: v for k, v in data.coords.items()}
    return xr.DataArray(
        np.asarray(data.data.magnitude), coords, data.dims, data.name, {**data.attrs, **units}
    )


def _times(values: np.ndarray, factor: float) -> np.ndarray:
    return values if factor == 1.0 else values * factor


_FACTOR = re.compile(
    r"\s*((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"(?:(?:\^|\*\*)([+-]?\d{1,2})|(?<=10)([+-]\d{1,2}))?(?:[\s*.]\s*(?=[^\W\d])|\s*$)"
)
"""CF's scale factors, `1e-3 kg m-2`, `10^-3 K` or `10-3 K`."""


def _read(text: str) -> tuple[Any, float]:
    """A unit as a file spells it, and the factor before it."""
    try:
        return unit(_CF.get(text, text)), 1.0
    except Exception:
        if (scale := _FACTOR.match(text)) is None:
            raise
        found = unit(text[scale.end() :])
        factor = float(scale[1]) ** int(scale[2] or scale[3] or 1)
        if not 0 < factor < math.inf or Quantity(0.0, found).to_base_units().m != 0:
            raise  # of a scale with an offset nobody knows what is multiplied
        return found, factor


def _unit(attrs: dict[str, Any], units: Any, what: str) -> tuple[Any, float]:
    """The unit, which is taken out of the attributes, and a factor; None, if there is none."""
    if units is None:
        return None, 1.0
    text = attrs.get("units")
    if not isinstance(units, str) or units != "parse":
        attrs.pop("units", None)
        return unit(units), 1.0
    if text is None:
        return None, 1.0
    text = str(text).strip()
    try:
        found, factor = _read(text)
    except Exception as error:
        if not isinstance(error, UndefinedUnitError):
            error = UndefinedUnitError(text)
        error.remedy = (
            f"It is in `attrs['units']` of {what}: give `units='...'`, or `units=None` for numbers."
        )
        raise error.at(user_line()) from None
    attrs.pop("units")
    return found, factor


def open_netcdf(path: str | Path, **options: Any) -> dict[str, NamedArray]:
    """The variables of a NetCDF file as named arrays: `options` are `from_xarray`'s."""
    with xr.open_dataset(path) as data:
        return from_xarray(_numeric(data.load()), **options)


def open_zarr(path: str | Path, **options: Any) -> dict[str, NamedArray]:
    """The variables of a Zarr store as named arrays: `options` are `from_xarray`'s."""
    with xr.open_zarr(path, chunks=None) as data:
        return from_xarray(_numeric(data.load()), **options)


def _numeric(data: xr.Dataset) -> xr.Dataset:
    """Without variables that are no numbers, such as bounds of dates: they stay in the file."""
    return data.drop_vars([k for k, v in data.data_vars.items() if v.dtype.kind not in "biufc"])


def to_dataset(arrays: Mapping[str, NamedArray]) -> xr.Dataset:
    """An `xarray.Dataset` of named arrays, whose shared coordinates must agree."""
    wanted("to_dataset", arrays, Mapping, "named arrays by name")
    return xr.merge(
        [to_xarray(a, name) for name, a in arrays.items()], join="exact", compat="equals"
    )


def save_netcdf(arrays: Mapping[str, NamedArray], path: str | Path) -> None:
    """Write named arrays to a NetCDF file, from which `open_netcdf` reads them."""
    to_dataset(arrays).to_netcdf(path)


def save_zarr(arrays: Mapping[str, NamedArray], path: str | Path) -> None:
    """Write named arrays to a Zarr store, from which `open_zarr` reads them."""
    to_dataset(arrays).to_zarr(path, mode="w")
