"""An action client that one thread may use while another one spins its node."""

from __future__ import annotations

import threading
from typing import Any

from rclpy.action import ActionClient
from rclpy.task import Future


class ThreadSafeActionClient(ActionClient):
    """:class:`rclpy.action.ActionClient` that takes no answer before it knows what was asked, and no result before all
    progress that came with it.

    The base class sends a request and then notes its number. An answer that another thread takes in between is
    "unexpected" to it: it is dropped, and the future is never done. It also takes one message of progress at a time,
    so that whoever hears of the result has not heard of the last steps where its executor was late.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._between = threading.RLock()
        super().__init__(*arguments, **options)

    def send_goal_async(self, *arguments: Any, **options: Any) -> Future:
        """Send a goal; see the base class."""
        with self._between:
            return super().send_goal_async(*arguments, **options)

    def take_data(self) -> dict[str, Any]:
        """Take what has come; called by executors."""
        with self._between:
            taken = super().take_data()
            if "result" in taken:
                first = [taken.pop("feedback")] if "feedback" in taken else []
                taken["progress"] = [*first, *iter(self._take_feedback, None)]
            return taken

    async def execute(self, taken_data: dict[str, Any]) -> None:
        """Tell what was taken; called by executors."""
        for feedback in taken_data.pop("progress", []):
            await super().execute({"feedback": feedback})
        await super().execute(taken_data)

    def _take_feedback(self) -> Any:
        return self._client_handle.take_feedback(self._action_type.Impl.FeedbackMessage)

    # Handles of goals call these two.
    def _get_result_async(self, goal_handle: Any) -> Future:
        with self._between:
            return super()._get_result_async(goal_handle)

    def _cancel_goal_async(self, goal_handle: Any) -> Future:
        with self._between:
            return super()._cancel_goal_async(goal_handle)
