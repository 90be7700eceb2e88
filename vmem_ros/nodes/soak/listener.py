"""Subscribes to previews, views and clouds, and never ends by itself: a soak kills it.

python -m vmem_ros.nodes.soak.listener
"""

from __future__ import annotations

import sys
import threading

from vmem_ros.nodes.client.topic_reader import TopicReader

_TOPICS = ("preview/image_raw", "camera/image_raw", "camera/points", "memory/surfels")


def main() -> int:
    """Listen for ever."""
    with TopicReader(*_TOPICS):
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
