"""What a person who runs a command can put right."""


class UserError(ValueError):
    """An error whose message is meant for a person: it names the file, field or value and what is allowed."""
