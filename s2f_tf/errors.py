"""What a person who runs a command can put right."""


class UserError(ValueError):
    """Base of every error whose message is meant for a person: it names the file, field or value and what is allowed."""
