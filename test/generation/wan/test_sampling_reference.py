"""Noise levels, solvers and rounds against the published functions."""

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UniPCMultistepScheduler

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan.sampling import RoundConditioning, flow_of, sample_round
from vmem_ros.generation.wan.schedules import euler_scheduler, started, unipc_scheduler
from wan_networks import published_network

TOLERANCE = 1.5e-5
STEPS = 5


def load(reference_dir, name):
    return {key: torch.from_numpy(array) for key, array in np.load(reference_dir / "others" / f"{name}.npz").items()}


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return load(reference_dir, "spatia_sampling")


@pytest.fixture(scope="module")
def rollout(reference_dir):
    return load(reference_dir, "mirage_rollout")


@pytest.fixture(scope="module")
def network(reference_dir):
    return published_network(reference_dir)


def assert_close(found, expected, atol=TOLERANCE):
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=0, atol=atol)


@pytest.mark.parametrize("steps", [4, 20, 40])
def test_levels_of_unipc(arrays, steps):
    scheduler = started(unipc_scheduler(), steps)
    assert_close(scheduler.sigmas, arrays[f"schedule_unipc_{steps}_sigmas"], atol=1e-7)
    assert torch.equal(scheduler.timesteps.float(), arrays[f"schedule_unipc_{steps}_timesteps"])


def test_levels_of_euler(arrays):
    scheduler = started(euler_scheduler(), 40)
    assert_close(scheduler.sigmas[:-1], arrays["schedule_euler_40_sigmas"], atol=1e-7)
    assert_close(scheduler.timesteps, arrays["schedule_euler_40_timesteps"], atol=1e-4)


def test_unipc_alone(arrays):
    x, trace = arrays["solver_x0"], arrays["solver_trace"]
    scheduler = started(unipc_scheduler(), len(trace) - 1)
    assert torch.equal(scheduler.timesteps.float(), arrays["solver_timesteps"])
    assert_close(scheduler.sigmas, arrays["solver_sigmas"], atol=1e-7)
    assert torch.equal(x, trace[0])
    for timestep, expected in zip(scheduler.timesteps, trace[1:], strict=True):
        x = scheduler.step(torch.sin(3 * x) + 0.1 * timestep / 1000, timestep, x, return_dict=False)[0]
        assert_close(x, expected)


CASES = ["first_unipc_nocfg", "first_unipc_cfg", "first_euler_cfg", "later_unipc_nocfg", "later_unipc_cfg"]


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.fixture
def told(arrays, case):
    later = case.startswith("later")
    return RoundConditioning(
        text=arrays["context_positive"],
        negative_text=arrays["context_negative"],
        history=arrays["later__history_latents" if later else "first__frame_latent"],
        references=arrays["later__reference_latents"] if later else None,
        control=arrays["later__control" if later else "first__control"],
    )


def test_round(arrays, network, told, case):
    """The network's inputs and outputs at every step, and the latents at the end."""
    calls = []

    def note(module, given, options, output):
        calls.append((given[0].clone(), given[1].clone(), output[0].clone()))

    scheduler = started(euler_scheduler() if "euler" in case else unipc_scheduler(), STEPS)
    timesteps = arrays[f"{case}__timesteps"]
    assert_close(scheduler.timesteps.float(), timesteps, atol=1e-4)
    sigmas = arrays[f"{case}__sigmas"]
    assert_close(scheduler.sigmas[: len(sigmas)], sigmas, atol=1e-7)
    guided = not case.endswith("nocfg")
    hook = network.register_forward_hook(note, with_kwargs=True)
    with torch.no_grad():
        steps = list(sample_round(network, scheduler, arrays["noise"], told, guidance_scale=3.5 if guided else 1.0))
    hook.remove()
    assert len(calls) == STEPS * (1 + guided)
    for index in range(STEPS):
        latents, times, flow = calls[index * (1 + guided)]
        assert_close(latents, arrays[f"{case}__model_latents"][index])
        published = arrays[f"{case}__model_timesteps"][index]
        if case.startswith("first"):  # a number there; the published network gives frame 0 time 0 by itself
            published = torch.cat([torch.zeros(1), published.expand(4)])
        assert_close(times[0], published, atol=1e-4)
        assert_close(flow, arrays[f"{case}__flow_cond"][index])
        if guided:
            assert_close(calls[2 * index + 1][2], arrays[f"{case}__flow_uncond"][index])
    assert [step.index for step in steps] == list(range(STEPS))
    assert_close(steps[-1].latents, arrays[f"{case}__final_latents"])


@pytest.mark.parametrize("chunk", range(3))
def test_chunk_of_mirage(rollout, network, chunk):
    """References, the last latent of the chunk before, what is drawn, and two latents from before that."""

    def of(name):
        return rollout.get(f"chunk{chunk}_{name}")

    scene = torch.cat([part for part in (of("target_scene"), of("preceding_scene")) if part is not None], dim=1)
    score = rollout["score_latent"][:, None, None, None].expand_as(scene)
    told = RoundConditioning(
        text=rollout["context"],
        history=of("first_latent"),
        references=of("reference_latents"),
        preceding=of("preceding_latents"),
        control=torch.cat([scene, score])[None],
    )
    times = []
    hook = network.register_forward_pre_hook(lambda module, given: times.append(given[1][0]))
    with torch.no_grad():
        *_, last = sample_round(network, started(unipc_scheduler(), 3), of("noise"), told)
    hook.remove()
    assert torch.equal(torch.stack(times), of("model_timesteps"))
    assert_close(last.latents, of("output_latents"))
    if chunk:
        assert_close(of("first_latent"), rollout[f"chunk{chunk - 1}_output_latents"][:, :, -1:], atol=0)
        assert_close(of("preceding_latents"), rollout[f"chunk{chunk - 1}_output_latents"][:, :, -3:-1], atol=0)


def test_noise_of_mirage_is_drawn_chunk_by_chunk(rollout):
    generator = torch.Generator().manual_seed(42)
    for chunk in range(3):
        expected = rollout[f"chunk{chunk}_noise"]
        assert torch.equal(torch.randn(expected.shape, generator=generator), expected)


def test_noise_of_spatia(arrays):
    assert torch.equal(torch.randn(1, 48, 5, 4, 6, generator=torch.Generator().manual_seed(123)), arrays["noise"])


def test_guidance_of_one_costs_nothing(arrays, network):
    told = RoundConditioning(text=arrays["context_positive"], negative_text=arrays["context_negative"])
    calls = []
    hook = network.register_forward_hook(lambda *_: calls.append(1))
    with torch.no_grad():
        list(sample_round(network, started(unipc_scheduler(), 2), arrays["noise"], told))
        list(sample_round(network, started(unipc_scheduler(), 2), arrays["noise"], told, guidance_scale=2.0))
    hook.remove()
    assert len(calls) == 2 + 4


def test_latents_may_be_changed_between_steps(arrays, network):
    told, seen = RoundConditioning(text=arrays["context_positive"]), []
    hook = network.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    with torch.no_grad():
        for step in sample_round(network, started(euler_scheduler(), 3), arrays["noise"], told):
            step.latents = torch.full_like(step.latents, 3.0)
    hook.remove()
    assert torch.equal(seen[1], torch.full_like(seen[1], 3.0))


@pytest.mark.parametrize(
    ("name", "part", "message"),
    [
        ("history", torch.zeros(1, 48, 5, 4, 6), "nothing is left to draw"),
        ("references", torch.zeros(1, 48, 1, 4, 4), "references must be latents like the noise"),
        ("preceding", torch.zeros(48, 1, 4, 6), "preceding must be latents like the noise"),
        ("history", torch.zeros(1, 48, 0, 4, 6), "history must be latents like the noise"),
    ],
)
def test_latents_that_do_not_fit(arrays, network, name, part, message):
    with pytest.raises(ModelError, match=message):
        list(sample_round(network, started(euler_scheduler(), 1), arrays["noise"], RoundConditioning(**{name: part})))


def test_noise_that_is_not_finite(network):
    with pytest.raises(ModelError, match="noise must be finite"):
        list(
            sample_round(
                network, started(euler_scheduler(), 1), torch.full((1, 48, 2, 4, 6), torch.nan), RoundConditioning()
            )
        )


@pytest.mark.parametrize("scheduler", [DDIMScheduler(), UniPCMultistepScheduler()])
def test_schedulers_of_something_else(scheduler):
    with pytest.raises(ModelError, match="must follow a flow"):
        started(scheduler, 4)


def test_no_steps():
    with pytest.raises(ModelError, match="at least 1"):
        started(unipc_scheduler(), 0)


def test_the_given_scheduler_stays_as_it_is():
    scheduler = unipc_scheduler()
    before = scheduler.timesteps
    started(scheduler, 3)
    assert scheduler.timesteps is before


def test_flow_is_of_the_frames_to_draw_alone(arrays, network):
    told = RoundConditioning(
        text=arrays["context_positive"],
        references=arrays["later__reference_latents"],
        preceding=arrays["later__history_latents"],
    )
    with torch.no_grad():
        flow = flow_of(network, arrays["noise"], torch.tensor(700), 1, told, told.text)
    assert flow.shape == arrays["noise"].shape
