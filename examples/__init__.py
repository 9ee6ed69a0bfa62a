"""Things to try Tidegate with."""
