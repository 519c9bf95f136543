"""The one exception that is shown to a person as a single line, without a traceback."""


class UserError(ValueError):
    """What the user gave is wrong: the message names it, what would work and the key to change."""
