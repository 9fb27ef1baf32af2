"""`python -m untrain` is the command line."""

from untrain.cli.main import main

if __name__ == "__main__":
    main()
