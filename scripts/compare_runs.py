"""`cloc-pretrain compare-runs`, from a checkout."""

import sys

from cloc.cli.compare_runs import run

if __name__ == "__main__":
    run(sys.argv[1:])
