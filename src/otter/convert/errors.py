"""What a conversion raises when the user can mend it."""


class ConversionError(ValueError):
    """A checkpoint cannot be converted; nothing was written.

    The message says the value, the expectation and the next step, for every problem at once.
    """
