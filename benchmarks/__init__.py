"""Measurements. They compare within one run, and assert nothing: figures differ from machine to machine."""
