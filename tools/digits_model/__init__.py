"""How the bundled ``digits`` model is made: voices, training windows, training, export and measuring.

Every module has a command line: ``python -m tools.digits_model.<module> --help``. README.md gives the order.
"""
