"""`cloc-pretrain train`, from a checkout."""

import sys

from cloc.cli.train import run

if __name__ == "__main__":
    run(sys.argv[1:])
