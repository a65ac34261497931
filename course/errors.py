"""What a user can get wrong, said in one line."""


class UserError(Exception):
    """Something the user can put right. ``message`` says what to do; commands print it and nothing else.

    ``exit_code`` is 2 for wrong usage or environment, 1 when the work itself fell short.
    """

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows instead of a traceback: IPython asks for it by this name."""
        return [self.message]
