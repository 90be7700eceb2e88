"""The network: whole sequences, the same sequences piece by piece, who sees whom, and what cannot be built."""

import pytest
import torch
from torch import Tensor

from tiny_gac import tiny_transformer
from vmem_ros.errors import ModelError
from vmem_ros.generation.gac import CameraGatedAttention, GacTransformer
from vmem_ros.generation.gac.context import Context
from vmem_ros.generation.gac.sequence import Split, interleave, splits_of

TOKENS, GRID = 6, (4, 6)
SPLITS = splits_of(interleave(3, 1, [True, False, True]), TOKENS)


def images(splits: list[Split]) -> list[Split]:
    return [split for split in splits if split.part.word is None]


@pytest.fixture
def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    times = torch.tensor([[0.3 + 0.1 * n if s.mode == "noise" else 0.0 for n, s in enumerate(images(SPLITS))]])
    return {
        "latents": torch.randn(1, len(images(SPLITS)), 6, *GRID, generator=generator),
        "times": times,
        "plucker": torch.randn(1, 3, 6, 16, 24, generator=generator),
    }


def said(network: GacTransformer, inputs: dict[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return network(**inputs, splits=SPLITS)


def test_one_answer_for_each_image_under_noise(inputs) -> None:
    assert said(tiny_transformer(), inputs).shape == (1, 4, 6, *GRID)


def test_batches_are_sequences_on_their_own(inputs) -> None:
    network = tiny_transformer()
    other = {name: tensor.flip(-1) for name, tensor in inputs.items() if name != "times"} | {"times": inputs["times"]}
    both = said(network, {name: torch.cat([inputs[name], other[name]]) for name in inputs})
    assert torch.allclose(both[:1], said(network, inputs), atol=1e-5)
    assert torch.allclose(both[1:], said(network, other), atol=1e-5)


@pytest.mark.parametrize("prediction", ["velocity", "sample"])
def test_piece_by_piece_it_says_what_it_says_of_the_whole(inputs, prediction) -> None:
    """What was shown and said is kept; nothing of it is computed again, and noise leaves no trace."""
    network = tiny_transformer(prediction=prediction)
    whole, found = said(network, inputs), []
    context = Context(network)
    with torch.no_grad():
        rays = network.rays(inputs["plucker"][0])[:, None]
        index = 0
        for split in SPLITS:
            if split.part.word:
                context.say(split.part.word)
                continue
            latents, view = inputs["latents"][:, index], split.part.view
            if split.mode == "noise":
                time, before = float(inputs["times"][0, index]), context.tokens
                found.append(context.predict(latents, time, rays[view]))
                expected = network.velocity(whole[:, len(found) - 1], latents, time)
                assert torch.allclose(found[-1], expected, atol=1e-4)
                assert context.tokens == before
            else:
                context.show(latents, rays[view])
            index += 1
    assert len(found) == 4
    assert context.tokens == sum(split.length for split in SPLITS if split.mode != "noise")


def test_nothing_sees_noise_before_it_or_anything_after_it(inputs) -> None:
    network = tiny_transformer()
    expected, first = said(network, inputs), images(SPLITS)
    for index, split in enumerate(first):
        changed = {**inputs, "latents": inputs["latents"].clone()}
        changed["latents"][:, index] += 1.0
        same = (said(network, changed) - expected).abs().amax(dim=(0, 2, 3, 4)) < 1e-5
        for answer, at in enumerate(i for i, s in enumerate(first) if s.mode == "noise"):
            sees = at == index if split.mode == "noise" else at > index
            assert bool(same[answer]) != sees


def test_the_camera_of_each_view_matters_to_its_own_tokens(inputs) -> None:
    network, expected = tiny_transformer(), None
    expected = said(network, inputs)
    moved = {**inputs, "plucker": inputs["plucker"].clone()}
    moved["plucker"][:, 2] += 1.0
    different = (said(network, moved) - expected).abs().amax(dim=(0, 2, 3, 4)) > 1e-5
    assert different.tolist() == [False, False, True, True]


def test_keys_and_values_never_see_the_camera() -> None:
    torch.manual_seed(0)
    attention, features = CameraGatedAttention(24, 4, 2), torch.randn(1, 5, 24)
    with torch.no_grad():
        kept = [attention.attend(features, torch.randn(1, 5, 24))[1] for _ in range(2)]
    assert torch.equal(kept[0].keys, kept[1].keys)
    assert torch.equal(kept[0].values, kept[1].values)


def test_a_network_begins_without_cameras_and_says_nothing(inputs) -> None:
    network = GacTransformer(**{**dict(tiny_transformer().config), "num_layers": 1})
    network.start()
    assert float(said(network, inputs).abs().max()) == 0
    attention = network.layers[0].attention
    features, rays = torch.randn(1, 5, 32), torch.randn(1, 5, 32)
    torch.nn.init.normal_(attention.out.weight)
    with torch.no_grad():
        assert torch.allclose(attention(features, rays), attention(features, -rays), atol=1e-6)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"width": 30}, "multiple of 4"),
        ({"heads": 3}, "even width|multiple of heads"),
        ({"kv_heads": 3}, "heads one of kv_heads"),
        ({"num_layers": 0}, "1 or more"),
        ({"prediction": "noise"}, "prediction must be one of velocity, sample"),
    ],
)
def test_what_cannot_be_built(config, message) -> None:
    with pytest.raises(ModelError, match=message):
        tiny_transformer(**config)


@pytest.mark.parametrize(("views", "context", "keep"), [(3, 0, [1, 1]), (3, 4, [1, 1]), (3, 1, [1])])
def test_sequences_that_cannot_be(views, context, keep) -> None:
    with pytest.raises(ModelError, match="a sequence of 3 views needs"):
        interleave(views, context, keep)
