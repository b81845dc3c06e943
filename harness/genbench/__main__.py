"""`python -m genbench`, the same as `genbench`."""

from genbench.cli import main

if __name__ == "__main__":
    main()
