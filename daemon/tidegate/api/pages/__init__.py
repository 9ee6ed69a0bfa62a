"""The web page: rendered here, works without JavaScript, needs no build step."""
