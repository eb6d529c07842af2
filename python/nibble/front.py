"""The best that can be had for a number of bits, from what was measured of each layer."""

from __future__ import annotations

import math


def noise_front(sensitivities: list[dict]) -> list[tuple[float, float]]:
    """(average bits, output SQNR in dB) from the fewest bits to the most: the lower convex hull of noise over bits, on which
    layers get more bits one by one, those first that lose most for their size."""
    layers: dict[str, list[dict]] = {}
    for one in sensitivities:
        layers.setdefault(one["node"], []).append(one)
    steps, bits, noise, weights = [], 0.0, 0.0, 0
    for options in layers.values():
        options = sorted(options, key=lambda one: one["bits"])
        powers = [10 ** (-one["sqnr_db"] / 10) for one in options]
        weights += options[0]["weights"]
        bits += options[0]["bits"] * options[0]["weights"]
        noise += powers[0]
        steps += _hull([one["bits"] * one["weights"] for one in options], powers)
    steps.sort(key=lambda step: step[1] / step[0])  # noise taken away per bit, most first
    front = [(bits / weights, _decibels(noise))]
    for more_bits, less_noise in steps:
        bits, noise = bits + more_bits, noise + less_noise
        front.append((bits / weights, _decibels(noise)))
    return front


def _hull(costs: list[float], powers: list[float]) -> list[tuple[float, float]]:
    """Steps (bits more, noise more, which is negative) along the lower convex hull."""
    points = [(costs[0], powers[0])]
    for cost, power in zip(costs[1:], powers[1:]):
        while len(points) > 1 and (power - points[-1][1]) * (points[-1][0] - points[-2][0]) <= (
            points[-1][1] - points[-2][1]
        ) * (cost - points[-1][0]):
            points.pop()
        if power < points[-1][1]:
            points.append((cost, power))
    return [(b[0] - a[0], b[1] - a[1]) for a, b in zip(points, points[1:])]


def _decibels(noise: float) -> float:
    return math.inf if noise <= 0 else -10 * math.log10(noise)
