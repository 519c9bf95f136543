"""`cloc-pretrain evaluate`, from a checkout."""

import sys

from cloc.cli.evaluate import run

if __name__ == "__main__":
    run(sys.argv[1:])
