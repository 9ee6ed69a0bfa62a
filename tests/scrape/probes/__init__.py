"""Tests of the probers."""
