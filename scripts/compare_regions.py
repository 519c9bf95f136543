"""`cloc-pretrain compare-regions`, from a checkout."""

import sys

from cloc.cli.compare_regions import run

if __name__ == "__main__":
    run(sys.argv[1:])
