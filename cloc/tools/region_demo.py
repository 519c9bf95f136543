"""`python -m cloc.tools.region_demo`, as it was called before `cloc-pretrain region-demo`."""

import sys

from cloc.cli.region_demo import run

if __name__ == "__main__":
    run(sys.argv[1:])
