"""Text from outside, such as file names and tags, made safe for a terminal and for a spreadsheet."""

# What a spreadsheet takes for the beginning of a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def printable(text: str) -> str:
    """Return a text as one line in which all that a terminal could obey, or not show, is escaped as Python does it.

    That is control characters, line ends, marks of writing direction, and bytes of file names that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )


def as_cell(text: str) -> str:
    """Return a printable text that no spreadsheet takes for a formula: with an apostrophe before one."""
    return f"'{printable(text)}" if text.startswith(FORMULA) else printable(text)
