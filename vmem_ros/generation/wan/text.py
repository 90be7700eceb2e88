"""A text as the network was trained to read it: embeddings of a fixed number of tokens, zero after its end."""

from __future__ import annotations

import html
import logging
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer

from vmem_ros.errors import ModelError

_log = logging.getLogger(__name__)

#: Tokens of every text.
MAX_TOKENS = 512
#: Longer prompts are no prompts.
MAX_CHARACTERS = 20_000


def encode_text(tokenizer: Any, text_encoder: Any, text: str, device: torch.device | str) -> Tensor:
    """Return embeddings [1, :data:`MAX_TOKENS`, D] of a text; what is longer is cut off, with a warning.

    :param tokenizer: of transformers, as the encoder, which is moved to where it works by its own hooks.
    """
    plain = " ".join(html.unescape(html.unescape(text)).split())
    if (count := len(tokenizer(plain).input_ids)) > MAX_TOKENS:
        _log.warning("the prompt has %d tokens, of which the network reads the first %d", count, MAX_TOKENS)
    tokens = tokenizer(
        [plain],
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        add_special_tokens=True,
        return_attention_mask=True,
        return_tensors="pt",
    )
    mask = tokens.attention_mask.to(device)
    hidden = text_encoder(tokens.input_ids.to(device), mask).last_hidden_state
    return hidden * mask[..., None].to(hidden.dtype)


def load_tokenizer(base: Path | str, *, allow_download: bool = False) -> Any:
    """Return the tokenizer in the folder ``tokenizer`` of ``base``; without code of its own.

    :raises ModelError: it is not there, or cannot be read.
    """
    try:
        return AutoTokenizer.from_pretrained(
            str(base), subfolder="tokenizer", local_files_only=not allow_download, trust_remote_code=False
        )
    except Exception as error:  # the libraries raise half a dozen kinds
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{base}/tokenizer cannot be loaded as a tokenizer: {reason}") from error
