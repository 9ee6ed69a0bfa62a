"""What keeps the repository's own documents true."""
