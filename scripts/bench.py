"""`cloc-pretrain bench`, from a checkout."""

import sys

from cloc.cli.bench.command import run

if __name__ == "__main__":
    run(sys.argv[1:])
