"""Samplers against a denoiser that is exact."""

from __future__ import annotations

from vmem_ros.benchmarking.analytic_denoiser import AnalyticDenoiser


def test_many_steps_of_a_sampler_arrive_where_the_equation_leads() -> None:
    assert AnalyticDenoiser().error("fast", 50) < 0.01
