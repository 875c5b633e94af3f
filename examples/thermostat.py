"""A room kept between 20 and 22 degrees Celsius: a continuous system that a controller switches.

The air of a room loses heat through its walls and gains that of a heater, which a thermostat turns
on and off:

    C dT/dt = P - U A (T - T_outside)

Each stretch between two switches is one solve, which ends at the instant when the room reaches the
temperature that the controller waits for: an event, found by Newton's method. The same compiled
solve serves all stretches, since power and threshold are arguments. Temperatures are in degC, their
differences in kelvin; the heater is in kW, the walls in W/m**2/K, the heat capacity in kJ/K, and
what was burnt is summed up in kWh. Nothing below converts one to another.

The stretches are compared with the closed form, durations of `tau * log(...)`. At the end the area
of the walls is forgotten, and what is said about it is printed:

    python examples/thermostat.py [--output thermostat.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import jax
import optimistix as optx

import sciquax.numpy as snp
from sciquax.interop import diffrax as dfx
from sciquax.units import DimensionalityError, Quantity

jax.config.update("jax_enable_x64", True)

CAPACITY = Quantity(350.0, "kJ/K")
WALLS = Quantity(0.9, "W/m**2/K"), Quantity(60.0, "m**2")
OUTSIDE = Quantity(-5.0, "degC")
HEATER = Quantity(2.4, "kW")
LOW, HIGH = Quantity(20.0, "degC"), Quantity(22.0, "degC")
START = {"room": Quantity(15.0, "degC"), "burnt": Quantity(0.0, "kWh")}


def heat(t, y, power):
    """The rates of the room's temperature and of what is burnt."""
    transmittance, area = WALLS
    loss = transmittance * area * (y["room"] - OUTSIDE)
    return {"room": (power - loss) / CAPACITY, "burnt": power}


def without_area(t, y, power):
    """The same, with a mistake."""
    return {"room": (power - WALLS[0] * (y["room"] - OUTSIDE)) / CAPACITY, "burnt": power}


@jax.jit
def until(start, y0, power, threshold):
    """Solve from the time `start` until the room reaches `threshold`."""

    def reached(t, y, args, **kwargs):
        return y["room"] - threshold

    solution = dfx.diffeqsolve(
        dfx.ODETerm(heat), dfx.Tsit5(), start, start + Quantity(1.0, "day"), Quantity(10.0, "s"),
        y0, power,
        event=dfx.Event(reached, optx.Newton(1e-10, 1e-10)),
        saveat=dfx.SaveAt(t0=True, steps=True),
        stepsize_controller=dfx.PIDController(
            rtol=1e-9, atol={"room": Quantity(1.0, "uK"), "burnt": Quantity(1.0, "J")},
            dtmax=Quantity(5.0, "min"),
        ),
        max_steps=512,
    )  # fmt: skip
    return solution.ts, solution.ys, solution.stats["num_accepted_steps"]


def run(switches=9):
    """The stretches: of each its times, states and the heater's power."""
    time, state, stretches = Quantity(0.0, "min"), START, []
    for number in range(switches):
        power, threshold = (HEATER, HIGH) if number % 2 == 0 else (0 * HEATER, LOW)
        ts, ys, steps = until(time, state, power, threshold)
        ts, ys = jax.tree.map(lambda x, last=int(steps) + 1: x[:last], (ts, ys))
        stretches.append((ts, ys, power))
        time, state = ts[-1], jax.tree.map(lambda x: x[-1], ys)
    return stretches


def closed_form(ys, power):
    """How long a stretch lasts, by the formula."""
    conductance = WALLS[0] * WALLS[1]
    rest = OUTSIDE + power / conductance
    room = ys["room"]
    return CAPACITY / conductance * snp.log((room[0] - rest) / (room[-1] - rest))


def draw(stretches, path):
    """The room's temperature, in the colour of what the heater does."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from sciquax.interop.matplotlib import plot_units

    with plot_units():
        figure, axes = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        for number, (ts, ys, power) in enumerate(stretches):
            colour, label = ("C3", "heater on") if power > 0 * power else ("C0", "heater off")
            label = label if number < 2 else None  # each once in the legend
            axes.plot(ts.to("hour"), ys["room"].to("degC"), colour, label=label)
        for threshold in (LOW, HIGH):
            axes.axhline(threshold.m_as("degC"), color="0.7", linestyle=":", zorder=0)
        axes.set(xlabel="time (h)", ylabel="room (°C)", title="Switched at 20 °C and 22 °C")
        axes.legend()
        figure.savefig(path, dpi=180)
        plt.close(figure)


def main(argv=None):
    """Run, compare, draw. **Returns** the largest relative error of a duration."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("thermostat.png"), help="the picture")
    options = parser.parse_args(argv)

    stretches, errors = run(), []
    for ts, ys, power in stretches:
        lasted, due = ts[-1] - ts[0], closed_form(ys, power)
        errors.append(float(abs(lasted / due - 1)))
        says = "on " if power > 0 * power else "off"
        print(f"{says} for {lasted.to('min'):7.3f~P}, by the formula {due.to('min'):7.3f~P}")
    ts, ys, _ = stretches[-1]
    print(f"burnt in {ts[-1].to('hour'):.2f~P}: {ys['burnt'][-1]:.3f~P}")
    try:
        dfx.diffeqsolve(
            dfx.ODETerm(without_area), dfx.Tsit5(), Quantity(0.0, "s"), Quantity(1.0, "hour"),
            Quantity(1.0, "min"), START, HEATER,
        )  # fmt: skip
    except DimensionalityError as error:
        print(f"\nWithout the area of the walls:\n{error}\n")

    draw(stretches, options.output)
    print(f"drawn in {options.output}")
    return max(errors)


if __name__ == "__main__":
    main()
