"""An ensemble of solves with units, spread over eight devices: where will the ball come down?

A football is kicked at about 28 m/s and 35 degrees; how fast, at what angle and how much the air
drags differs from kick to kick. Each of some thousand flights is one Diffrax solve that ends where
the height comes back to zero. The initial states are quantities, sharded over a mesh of devices
like any array, and the function that is compiled says nothing of either.

    python examples/ensemble.py [--flights 16384] [--output ensemble.png]

The eight devices here are made of this machine's processor, so that the time gained is at most what
its cores give. Both runs compute the same numbers but for rounding; in vacuum the distances are
those of the formula v**2 sin(2 angle) / g.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

FLAG = "--xla_force_host_platform_device_count"
if FLAG not in os.environ.get("XLA_FLAGS", ""):  # before JAX starts
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}=8"

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
import optimistix as optx  # noqa: E402
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P  # noqa: E402

import sciquax.numpy as snp  # noqa: E402
from sciquax.interop import diffrax as dfx  # noqa: E402
from sciquax.units import Quantity  # noqa: E402

G = Quantity(9.80665, "m/s**2")
MASS = Quantity(430.0, "g")
AREA = Quantity(380.0, "cm**2")
AIR = Quantity(1.2, "kg/m**3")


def flight(t, y, drag):
    """Gravity, and drag against the velocity."""
    del t
    speed = snp.sqrt(y["vx"] ** 2 + y["vz"] ** 2)
    slowing = AIR * AREA * drag * speed / (2.0 * MASS)
    return {"x": y["vx"], "z": y["vz"], "vx": -slowing * y["vx"], "vz": -G - slowing * y["vz"]}


def landing(speed, angle, drag):
    """How far one kick goes."""
    zero = Quantity(0.0, "m")
    start = {"x": zero, "z": zero, "vx": speed * snp.cos(angle), "vz": speed * snp.sin(angle)}
    down = dfx.Event(lambda t, y, args, **_: y["z"], optx.Newton(1e-8, 1e-8), direction=False)
    solution = dfx.diffeqsolve(
        dfx.ODETerm(flight),
        dfx.Dopri5(),
        Quantity(0.0, "s"),
        Quantity(1.0, "min"),
        Quantity(10.0, "ms"),
        start,
        drag,
        stepsize_controller=dfx.PIDController(rtol=1e-8, atol=1e-8),
        event=down,
    )
    assert solution.ys is not None  # it is None only where nothing was to be saved
    return solution.ys["x"][-1]


def kicks(n, seed=3):
    """Speeds, angles and drag coefficients."""
    random = np.random.default_rng(seed)
    return (
        Quantity(jnp.asarray(random.normal(28.0, 1.5, n)), "m/s"),
        Quantity(jnp.asarray(random.normal(35.0, 4.0, n)), "deg"),
        jnp.asarray(random.normal(0.25, 0.03, n)),
    )


def timed(f, args, repetitions=3):
    """The result, and the shortest time of a few calls after the first."""
    out = jax.block_until_ready(f(*args))
    best = np.inf
    for _ in range(repetitions):
        start = time.perf_counter()
        jax.block_until_ready(f(*args))
        best = min(best, time.perf_counter() - start)
    return out, best


def main(flights=16384, output=None):
    with jax.enable_x64(True):
        return _main(flights, output)


def _main(flights, output):
    solve = jax.jit(jax.vmap(landing))
    inputs = kicks(flights)
    single, one = timed(solve, jax.device_put(inputs, jax.devices()[0]))

    mesh = jax.make_mesh((jax.device_count(),), ("kicks",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(inputs, NamedSharding(mesh, P("kicks")))
    spread, many = timed(solve, sharded)
    assert len(spread.m.sharding.device_set) == jax.device_count()

    distance = spread.to("m")
    print(f"{flights} kicks: {distance.mean():.2f~}, give or take {distance.std():.2f~}")
    both = [np.asarray(x.m_as("m")) for x in (single, spread)]
    worst = float(np.max(np.abs(both[0] / both[1] - 1.0)))
    print(f"on 1 device {one:.2f} s, on {jax.device_count()} devices {many:.2f} s")
    print(f"the same numbers but for rounding: the largest relative difference is {worst:.1e}")

    speed, angle, _ = inputs
    vacuum = solve(speed, angle, jnp.zeros(flights))
    formula = speed**2 * snp.sin(2.0 * angle) / G
    error = float(np.max(np.abs(vacuum / formula - 1.0)))
    print(f"in vacuum, against v**2 sin(2 angle) / g: {error:.1e}")
    if output is not None:
        draw(distance, Path(output))
    return worst, error


def draw(distance, path):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        axes.hist(distance, bins=60)
        axes.set(xlabel="distance (m)", ylabel="kicks", title="Where the ball comes down")
        figure.savefig(path, dpi=180)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--flights", type=int, default=16384)
    parser.add_argument("--output")
    options = parser.parse_args()
    main(options.flights, options.output)
