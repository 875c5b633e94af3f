"""A squid's nerve cell by Hodgkin and Huxley, in its textbooks' units: mV, mS/cm2, uF/cm2, ms.

    C dV/dt = I - g_Na m**3 h (V - E_Na) - g_K n**4 (V - E_K) - g_L (V - E_L)
    dx/dt   = alpha_x(V) (1 - x) - beta_x(V) x        for the gates x = m, h, n

The textbooks' units are a trap: mV times mS/cm2 is uA/cm2, and over uF/cm2 that is V/s, or mV/ms,
which works out by luck. Here the injected current is in nA over a patch of membrane in um**2, the
capacitance in pF/um**2 and the time in ms, and it works out by arithmetic. The fits of the rates
alpha and beta, which have units too, are written as they were published: voltages in multiples of
10, 18, 20 or 80 mV.

The run is checked against SciPy's LSODA on bare numbers, finds the spikes by an event on the
voltage, draws, and ends with the mistake of a current that is not per area:

    python examples/hodgkin_huxley.py [--output hodgkin_huxley.png]

Source: A. L. Hodgkin and A. F. Huxley, "A quantitative description of membrane current and its
application to conduction and excitation in nerve", J. Physiol. 117, 500 (1952), with voltages
counted from a rest at -65 mV as in P. Dayan and L. F. Abbott, Theoretical Neuroscience, MIT Press,
2001, section 5.5.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from scipy.integrate import solve_ivp

from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

MEMBRANE = {
    "C": Quantity(0.01, "pF/um**2"),  # 1 uF/cm2
    "g_Na": Quantity(120.0, "mS/cm**2"),
    "g_K": Quantity(36.0, "mS/cm**2"),
    "g_L": Quantity(3.0, "S/m**2"),  # 0.3 mS/cm2
    "E_Na": Quantity(50.0, "mV"),
    "E_K": Quantity(-77.0, "mV"),
    "E_L": Quantity(-54.387, "mV"),
}
CURRENT = Quantity(1.0, "nA") / Quantity(10_000.0, "um**2")  # 10 uA/cm2
START = {
    "V": Quantity(-65.0, "mV"),
    "m": jnp.asarray(0.0529),
    "h": jnp.asarray(0.5961),
    "n": jnp.asarray(0.3177),
}


def linoid(x):
    """x / (1 - exp(-x)), which is 1 at 0."""
    near = jnp.abs(x) < 1e-6
    safe = jnp.where(near, 1.0, x)
    return jnp.where(near, 1.0 + x / 2.0, safe / -jnp.expm1(-safe))


def gate_rates(v, per_ms, mv):
    """alpha and beta of each gate, published for V in mV and rates in 1/ms."""
    return {
        "m": (per_ms * linoid((v + 40 * mv) / (10 * mv)),
              4.0 * per_ms * jnp.exp(-(v + 65 * mv) / (18 * mv))),
        "h": (0.07 * per_ms * jnp.exp(-(v + 65 * mv) / (20 * mv)),
              per_ms / (1.0 + jnp.exp(-(v + 35 * mv) / (10 * mv)))),
        "n": (0.1 * per_ms * linoid((v + 55 * mv) / (10 * mv)),
              0.125 * per_ms * jnp.exp(-(v + 65 * mv) / (80 * mv))),
    }  # fmt: skip


def neuron(t, y, args):
    """The time derivatives of the voltage and the gates."""
    p, current = args
    v, m, h, n = y["V"], y["m"], y["h"], y["n"]
    rates = gate_rates(v, Quantity(1.0, "1/ms"), Quantity(1.0, "mV"))
    ions = (
        p["g_Na"] * m**3 * h * (v - p["E_Na"])
        + p["g_K"] * n**4 * (v - p["E_K"])
        + p["g_L"] * (v - p["E_L"])
    )
    gates = {x: rates[x][0] * (1.0 - y[x]) - rates[x][1] * y[x] for x in rates}
    return {"V": (current - ions) / p["C"]} | gates


def simulate(times, current=CURRENT, event=None):
    """Voltage and gates at `times`, a quantity of any unit of time."""
    return dfx.diffeqsolve(
        dfx.ODETerm(neuron),
        dfx.Tsit5(),
        Quantity(0.0, "ms"),
        times[-1],
        Quantity(10.0, "us"),
        START,
        (MEMBRANE, current),
        saveat=dfx.SaveAt(ts=times) if event is None else dfx.SaveAt(t1=True),
        stepsize_controller=dfx.PIDController(rtol=1e-8, atol=1e-8),
        event=event,
        max_steps=20_000,
    )


def first_spike():
    """When the voltage first rises through 0 V, found as the root of a condition in volts."""
    event = dfx.Event(
        lambda t, y, args, **kwargs: y["V"], optx.Newton(1e-10, 1e-10), direction=True
    )
    solution = simulate(Quantity(jnp.array([20.0]), "ms"), event=event)
    assert solution.ts is not None  # it is None only where nothing was to be saved
    return solution.ts[-1]


def reference(ms):
    """The same by SciPy, on numbers in mV, ms, mS/cm2 and uA/cm2: an array of V, m, h, n."""

    def ratio(x):
        return x / -np.expm1(-x)

    def rates(t, y):
        v, m, h, n = y
        ions = 120.0 * m**3 * h * (v - 50.0) + 36.0 * n**4 * (v + 77.0) + 0.3 * (v + 54.387)
        return [
            10.0 - ions,
            ratio((v + 40) / 10) * (1 - m) - 4 * np.exp(-(v + 65) / 18) * m,
            0.07 * np.exp(-(v + 65) / 20) * (1 - h) - h / (1 + np.exp(-(v + 35) / 10)),
            0.1 * ratio((v + 55) / 10) * (1 - n) - 0.125 * np.exp(-(v + 65) / 80) * n,
        ]

    start = [-65.0, 0.0529, 0.5961, 0.3177]
    return solve_ivp(rates, (0.0, ms[-1]), start, "LSODA", ms, rtol=1e-10, atol=1e-10).y


def draw(solution, spike, path):
    """The voltage above, the gates below."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    gates = {"m": "m, sodium opens", "h": "h, sodium closes", "n": "n, potassium opens"}
    with plot_units():
        figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(5.5, 5), layout="constrained")
        top.plot(solution.ts, solution.ys["V"])
        top.axvline(spike, color="tab:gray", linestyle=":", label="the first spike passes 0 mV")
        top.set(ylabel="membrane voltage (mV)", title="Hodgkin and Huxley's neuron, 10 µA/cm²")
        for gate, label in gates.items():
            bottom.plot(solution.ts, solution.ys[gate], label=label)
        bottom.set(xlabel="time (ms)", ylabel="open share of gates")
        figure.legend(loc="outside lower center", ncols=2)
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Solve, compare, draw. **Returns** the largest difference from SciPy in mV."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("hodgkin_huxley.png"))
    options = parser.parse_args(argv)

    times = Quantity(jnp.linspace(0.0, 50.0, 1001), "ms")
    solution = simulate(times)
    assert solution.ys is not None  # it is None only where nothing was to be saved
    expected = reference(np.asarray(times.m_as("ms")))
    found = np.asarray(solution.ys["V"].m_as("mV"))
    worst = float(np.max(np.abs(found - expected[0])))
    spikes = int(np.sum((found[:-1] < 0) & (found[1:] >= 0)))
    spike = first_spike()
    print(f"steps: {solution.stats['num_steps']}, spikes in {times[-1]:.0f~P}: {spikes}")
    print(f"the voltage differs from SciPy's by at most {worst:.1e} mV")
    print(f"the first spike passes 0 V at {spike:.6f~P}")
    try:
        simulate(times, Quantity(1.0, "nA"))
    except DimensionalityError as error:
        print(f"\nWith a current that is not per area:\n{error}")
    draw(solution, spike, options.output)
    print(f"\ndrawn in {options.output}")
    return worst


if __name__ == "__main__":
    main()
