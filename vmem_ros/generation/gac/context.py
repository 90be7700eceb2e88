"""A sequence while it grows: what has been shown and said is kept as keys and values, and costs nothing again."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.generation.gac.attention import KeysValues
from vmem_ros.generation.gac.network import GacTransformer
from vmem_ros.generation.gac.sequence import Word


class Context:
    """What a network has seen so far, and what it would say next.

    A call costs what the image costs and a look at what is kept; nothing that was shown is computed again. It gives
    what :meth:`GacTransformer.forward` gives of the whole sequence.
    """

    def __init__(self, network: GacTransformer) -> None:
        self._network = network
        self._kept: list[KeysValues] | None = None
        self._position = 0

    @property
    def tokens(self) -> int:
        """How many tokens are kept."""
        return 0 if self._kept is None else int(self._kept[0].keys.shape[2])

    def show(self, latents: Tensor, rays: Tensor) -> None:
        """Add a clean image.

        :param latents: [1, C, h, w].
        :param rays: tokens [1, n, D] of the rays of its camera.
        """
        self._add(self._network.image_tokens(latents, latents.new_zeros(1)), rays, image=True)

    def say(self, word: Word) -> None:
        """Add a word."""
        token = self._network.word_token(word)
        self._add(token, torch.zeros_like(token), image=False)

    def predict(self, noisy: Tensor, time: float, rays: Tensor) -> Tensor:
        """Return the velocity [1, C, h, w] float32 of an image under noise that would come next; nothing of it is kept.

        :param noisy: [1, C, h, w] float32.
        :param time: 0 clean to 1 noise.
        """
        given = noisy.to(self._network.dtype)
        tokens = self._network.image_tokens(given, given.new_full((1,), time))
        hidden, _ = self._decode(tokens, rays, image=True)
        said = self._network.image_of(hidden, (noisy.shape[-2], noisy.shape[-1])).float()
        return self._network.velocity(said, noisy, time)

    def _add(self, tokens: Tensor, rays: Tensor, *, image: bool) -> None:
        _, own = self._decode(tokens, rays, image=image)
        self._kept = own if self._kept is None else [a.followed_by(b) for a, b in zip(self._kept, own, strict=True)]
        self._position += 1

    def _decode(self, tokens: Tensor, rays: Tensor, *, image: bool) -> tuple[Tensor, list[KeysValues]]:
        device = tokens.device
        positions = torch.full((tokens.shape[1],), self._position, dtype=torch.int64, device=device)
        posed = torch.full((tokens.shape[1],), image, device=device)
        return self._network.decode(tokens, rays, positions, posed=posed, before=self._kept)
