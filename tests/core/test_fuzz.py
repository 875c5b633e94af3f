"""Every public function and method with arguments of every kind: right, wrong, and nonsense.

Whatever comes in, what goes wrong is said in words: an error of ours, or a TypeError or ValueError,
never an AssertionError, KeyError or AttributeError of our own code's, and without our own names.
"""

import inspect
import random
import types
import warnings
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sciquax
from sciquax import units
from sciquax.core import ArrayValue, LocatedError
from sciquax.lora import LoraArray
from sciquax.named import Axis, NamedArray
from sciquax.quantised import quantise
from sciquax.sparse import BCOO
from sciquax.structured import DiagonalMatrix, IdentityMatrix, TridiagonalMatrix
from sciquax.units import Quantity
from sciquax.zero import Zero

PACKAGE = str(Path(sciquax.__file__).parent)
MODULES = """
    sciquax sciquax.units sciquax.named sciquax.named.linalg sciquax.named.fft sciquax.named.nn
    sciquax.named.random sciquax.structured sciquax.sparse sciquax.lora sciquax.quantised
    sciquax.zero sciquax.interop.json sciquax.interop.equinox sciquax.interop.pint
    sciquax.interop.pandas sciquax.interop.astropy sciquax.interop.xarray
    sciquax.interop.uncertainties
""".split()
# What changes the session; and what only methods make.
OTHERS = """
    set_registry set_bare_angles register register_rule explain_rules save_adapters
    tree_serialise_leaves save_netcdf save_zarr Dates Rolling Weighted GroupBy Resample Coarsen
    Inference Inferred
""".split()
LONG = "q" * 3000
ARGUMENTS = [
    None, "m", "smoot", "x", "y", "", LONG, 3, 0, -1, 1.5, float("nan"), 1j, True, [1, 2], [], (),
    {}, {"x": 2}, {"x": "m"}, {LONG: 1}, object(), jnp.sum, ValueError, slice(1, 2), ..., b"m", {1},
    range(3), Axis("x"), Axis("x", 3), jnp.float32, units.get_registry().Unit("km"),
    jnp.ones(3), jnp.ones((3, 3)), jnp.zeros((2, 3, 3)), jnp.array(1), jnp.array([1, 2], jnp.int8),
    jnp.array([True, False]), jnp.ones(2, jnp.float16), jnp.ones(2, jnp.complex64),
    jnp.zeros((0, 3)), jax.random.key(0), jax.ShapeDtypeStruct((3,), jnp.float32), np.ones(3),
    np.array(["a", "b"]), np.array(["2020-01-01"], "M8[D]"), np.float64(2.5),
    Quantity(1.5, "km"), Quantity(jnp.ones(3), "s"), Quantity(jnp.ones((3, 3)), "m"),
    Quantity(jnp.array([1, 2]), "degC"), Quantity(1.0, "dBm"), Quantity(jnp.ones(3), "percent"),
    NamedArray(jnp.ones(3), ("x",)), NamedArray(jnp.ones((2, 3)), ("y", "x")),
    NamedArray(jnp.ones((3, 3)), ("x", None)),
    NamedArray(Quantity(jnp.ones(3), "m"), ("x",), {"x": [1.0, 2.0, 3.0]}),
    TridiagonalMatrix(jnp.ones(2), 4 * jnp.ones(3), jnp.ones(2)), DiagonalMatrix(jnp.ones(3)),
    Quantity(DiagonalMatrix(jnp.ones(3)), "m"), IdentityMatrix(3), Zero((3,)),
    BCOO.from_dense(jnp.eye(3)), LoraArray(jnp.ones((3, 3)), rank=1, key=jax.random.key(0)),
    quantise(jnp.ones((3, 3))),
]  # fmt: skip
BARE = (
    AssertionError, AttributeError, KeyError, IndexError, NameError, StopIteration,
    ZeroDivisionError, RecursionError,
)  # fmt: skip
INTERNAL = ("assemble_", "_times_2_to_the_", "_static=", "Withheld", "UnitPolymorphic")
CONTRACT = {name for name in dir(ArrayValue) if name not in dir(jax.Array)}


def public():
    """Functions and methods by name."""
    for name in MODULES:
        module = pytest.importorskip(name)
        for own, f in vars(module).items():
            if own.startswith("_") or own in OTHERS or isinstance(f, types.ModuleType):
                continue
            where = getattr(f, "__module__", None) or ""
            if not callable(f) or not where.startswith("sciquax"):
                continue
            if isinstance(f, type) and issubclass(f, BaseException):
                continue
            if hasattr(module, "__path__") or where == name:
                yield f"{name}.{own}", f
    for x in ARGUMENTS:
        if not isinstance(x, ArrayValue):
            continue
        own = type(x) in (Quantity, NamedArray)
        for name in dir(type(x)):
            if name.startswith("_") or name in CONTRACT or not own and name not in dir(jax.Array):
                continue
            try:
                f = getattr(x, name)
            except (LocatedError, TypeError, ValueError, AttributeError):
                continue
            if callable(f):
                yield f"{type(x).__name__}.{name}", f


def arguments(f, rng):
    """As many as the function takes."""
    try:
        known = inspect.signature(f).parameters.values()
    except (ValueError, TypeError):
        return rng.choices(ARGUMENTS, k=rng.randint(0, 3)), {}
    places = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    least = sum(p.default is p.empty for p in places)
    count = rng.randint(least, len(places))
    if any(p.kind is p.VAR_POSITIONAL for p in known):
        count += rng.randint(0, 2)
    names = [
        p.name
        for p in known
        if p.kind is p.KEYWORD_ONLY and (p.default is p.empty or rng.random() < 0.2)
    ]
    return rng.choices(ARGUMENTS, k=count), {n: rng.choice(ARGUMENTS) for n in names}


def complaint(error):
    """What is wrong with an error, if anything is."""
    text, frame = str(error), error.__traceback__
    while frame.tb_next is not None:
        frame = frame.tb_next
    file = frame.tb_frame.f_code.co_filename
    ours = isinstance(error, LocatedError)
    if isinstance(error, BARE) and not ours and file.startswith(PACKAGE):
        return f"a bare {type(error).__name__} at {file}:{frame.tb_lineno}"
    if ours and not text:
        return "no words"
    if ours and any(name in text for name in INTERNAL):
        return "a name of ours"
    if ours and len(text) > 2000:
        return f"{len(text)} characters"
    return None


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_comes_in_is_answered_in_words(seed, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rng, found = random.Random(seed), {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for name, f in dict(public()).items():
            for _ in range(2):
                args, options = arguments(f, rng)
                try:
                    f(*args, **options)
                except Exception as error:
                    if (wrong := complaint(error)) is not None:
                        shown = [repr(x)[:60] for x in (*args, *options.items())]
                        found[name, wrong] = f"{name}{tuple(shown)}: {wrong}: {str(error)[:200]}"
    assert not found, "\n".join(found.values())
