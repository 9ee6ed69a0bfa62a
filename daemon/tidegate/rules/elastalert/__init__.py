"""ElastAlert2's rules, read and rewritten as rule files; what cannot be rewritten is said with its place."""
