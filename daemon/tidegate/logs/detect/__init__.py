"""What log rules look for in the stream: values, templates, changes, silences and sequences; all of it bounded."""
