"""What licences of models allow, as far as their names say it. Whoever needs to be sure reads them."""

from __future__ import annotations

from typing import Literal, get_args

from vmem_ros.errors import ModelError

#: What a user wants a model for.
Use = Literal["commercial", "research"]
USES = get_args(Use)

#: Names, as on the Hugging Face Hub, of licences that allow commercial use; some with rules of conduct.
OPEN = (
    "apache-2.0",
    "mit",
    "bsd-2-clause",
    "bsd-3-clause",
    "cc0-1.0",
    "cc-by-4.0",
    "openrail",
    "openrail++",
    "creativeml-openrail-m",
    "bigscience-openrail-m",
)
_NON_COMMERCIAL = ("non-commercial", "noncommercial", "-nc-", "-nc.", "research-only")


def allowed_uses(licence: str) -> tuple[Use, ...]:
    """Return what a licence allows by its name; nothing if that does not say it."""
    name = licence.lower()
    if name in OPEN:
        return USES
    return ("research",) if any(word in f"{name}." for word in _NON_COMMERCIAL) else ()


def check_use(licence: str, use: Use | None, *, what: str, page: str) -> None:
    """Raise :class:`ModelError` unless a licence allows what the user says.

    What allows everything may be had without a word; for anything else the user has to say what it is for.

    :param what: the model, for messages.
    :param page: where its licence can be read.
    """
    uses = allowed_uses(licence)
    if set(uses) == set(USES):
        return
    said = f"the licence of {what} is {licence or 'not named'}"
    if use == "commercial":
        why = "does not allow commercial use" if uses else "is not known here, so nobody checked that it allows that"
        raise ModelError(f"{said}, which {why}: read {page}, or choose another model with --model OWNER/NAME")
    if use is None:
        why = "which allows no commercial use" if uses else "which is not known here"
        raise ModelError(f"{said}, {why}: read {page}, and say --use research if that is what you do")
