"""`python -m cloc` is `cloc-pretrain`."""

from cloc.cli.main import main

if __name__ == "__main__":
    main()
