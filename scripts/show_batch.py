"""`cloc-pretrain show-batch`, from a checkout."""

import sys

from cloc.cli.show_batch import run

if __name__ == "__main__":
    run(sys.argv[1:])
