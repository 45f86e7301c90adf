"""The parts of tools/compare_engines.py: what is compared, how it is measured, how it is written down."""
