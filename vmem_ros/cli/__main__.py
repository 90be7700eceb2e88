"""``python -m vmem_ros.cli``: the ``vmem`` command where no entry point is installed."""

import sys

from vmem_ros.cli.main import main

sys.exit(main())
