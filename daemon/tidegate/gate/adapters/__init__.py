"""One file per CI/CD system."""
