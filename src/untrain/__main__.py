"""`python -m untrain` is the command line."""

from untrain.cli import main

if __name__ == "__main__":
    main()
