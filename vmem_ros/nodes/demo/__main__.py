"""``python -m vmem_ros.nodes.demo``: the whole demo, which ``make demo`` runs."""

import sys

from vmem_ros.interrupts import ending_quietly

with ending_quietly(130):
    from vmem_ros.nodes.demo.run import main

if __name__ == "__main__":
    sys.exit(main())
