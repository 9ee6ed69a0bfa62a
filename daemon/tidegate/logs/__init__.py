"""Log lines: tail, parse, ship, store, search, count."""
