"""What changes lines on their way: redaction, sampling, rate limits."""
