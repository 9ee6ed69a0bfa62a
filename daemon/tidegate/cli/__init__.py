"""The command line: one file per command group."""


def main() -> None:
    """The console script."""
