"""`cloc-pretrain prepare`, from a checkout."""

import sys

from cloc.cli.prepare import run

if __name__ == "__main__":
    run(sys.argv[1:])
