"""The command line: one module per verb, imported when it is asked for.

A verb's module has SUMMARY, `add_arguments(parser)` and `run(arguments, house) -> exit code`.
"""
