"""Tools that know nothing of monitoring: clocks, task supervision, YAML with positions, HTTP clients, the database.

A stage may use the kit; the kit knows only the model.
"""
