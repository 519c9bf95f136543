"""`cloc-pretrain export`, from a checkout."""

import sys

from cloc.cli.export import run

if __name__ == "__main__":
    run(sys.argv[1:])
