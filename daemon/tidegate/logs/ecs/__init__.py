"""The document that a line becomes, its fields, and the line again from it."""
