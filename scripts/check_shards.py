"""`cloc-pretrain check-shards`, from a checkout."""

import sys

from cloc.cli.check_shards import run

if __name__ == "__main__":
    run(sys.argv[1:])
