"""Samplers against a denoiser that is exact."""

from __future__ import annotations

from vmem_ros.benchmarking.analytic_denoiser import AnalyticDenoiser


def test_errors_of_samplers_are_those_of_an_exact_denoiser():
    mixture = AnalyticDenoiser()
    published, fast, many = (mixture.error(*run) for run in (("published", 50), ("fast", 8), ("fast", 50)))
    assert many < 0.01 < fast < published < 0.1
