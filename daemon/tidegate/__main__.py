"""`python -m tidegate` is the console script."""

from tidegate import cli

if __name__ == "__main__":
    cli.main()
