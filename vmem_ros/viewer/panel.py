"""The panel beside the scene: what is going on, buttons, and what is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import viser
from numpy.typing import NDArray

from vmem_ros.viewer.backend import Status
from vmem_ros.viewer.scene import Colours, Style
from vmem_ros.viewer.server import Server

_EMPTY = np.full((2, 3, 3), 240, np.uint8)


@dataclass(frozen=True)
class Actions:
    """What the panel calls, in threads of viser's."""

    generate: Callable[[str], None]
    cancel: Callable[[], None]
    undo: Callable[[], None]
    save: Callable[[bool], None]


class Panel:
    """Controls that all browsers share; :attr:`flies` and :attr:`fills_window` say what is chosen."""

    def __init__(self, server: Server, actions: Actions, *, title: str) -> None:
        gui = server.gui
        gui.set_panel_label(title)
        self._summary = gui.add_markdown("")
        self._preview = gui.add_image(_EMPTY, label="Memory at the camera", format="jpeg")
        self._flies = gui.add_checkbox(
            "Fly the camera", True, hint="The camera is where you look from; off: you look at it from elsewhere."
        )
        self._fills = gui.add_checkbox(
            "Memory's picture", False, hint="Fills the window with what memory shows, in place of its elements."
        )
        self._prompt = gui.add_text("Prompt", "", hint="What new views are to show, in words.", visible=False)
        generate = gui.add_button(
            "Generate", icon=viser.Icon.SPARKLES, hint="Draw a view where the camera is, and remember it."
        )
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._cancel = gui.add_button("Cancel", icon=viser.Icon.X, color="red", visible=False)
        undo = gui.add_button("Undo", icon=viser.Icon.ARROW_BACK_UP, color="gray", hint="Take the last change back.")
        save = gui.add_button("Save", icon=viser.Icon.DEVICE_FLOPPY, color="gray")
        overwrite = gui.add_checkbox("Replace a file", False, hint="Saving may replace a file that is there.")
        self._message = gui.add_markdown("")
        with gui.add_folder("Show"):
            self._colours = gui.add_dropdown("Colours", ("picture", "confidence"))
            self._cloud = gui.add_checkbox("Elements", True)
            self._observed = gui.add_checkbox("Observed views", True)
            self._generated = gui.add_checkbox("Generated views", True)
            self._scale = gui.add_slider("Size of views", 0.02, 1.0, 0.01, Style.scale)

        generate.on_click(lambda _: actions.generate(self._prompt.value))
        self._cancel.on_click(lambda _: actions.cancel())
        undo.on_click(lambda _: actions.undo())
        save.on_click(lambda _: actions.save(overwrite.value))

    @property
    def flies(self) -> bool:
        """Whether the camera is where browsers look from."""
        return self._flies.value

    @property
    def fills_window(self) -> bool:
        """Whether memory's picture fills the window."""
        return self._fills.value

    @property
    def style(self) -> Style:
        """How the world is to be shown."""
        return Style(
            cast("Colours", self._colours.value),
            self._cloud.value and not self._fills.value,
            self._observed.value,
            self._generated.value,
            self._scale.value,
        )

    def show_status(self, status: Status) -> None:
        """Show how things stand; what is the same as before is not sent again."""
        running = status.fraction is not None
        _set(self._summary, "content", f"{status.summary}\n\n**{status.activity}**")
        _set(self._progress, "visible", running)
        _set(self._cancel, "visible", running)
        # A window that is filled shows it larger.
        _set(self._preview, "visible", not self._fills.value)
        _set(self._prompt, "visible", status.takes_prompt)
        if status.fraction is not None:
            _set(self._progress, "value", round(100 * status.fraction))

    def show_preview(self, image: NDArray[np.uint8]) -> None:
        """Show what memory shows where the camera is."""
        self._preview.image = image

    def show_message(self, text: str, *, is_error: bool = False) -> None:
        """Show what became of something that was asked for."""
        self._message.content = f"⚠ {text}" if is_error else text


def _set(handle: object, name: str, value: object) -> None:
    if getattr(handle, name) != value:
        setattr(handle, name, value)
