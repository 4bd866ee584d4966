"""Changes of bytes, texts and JSON values that parsers may meet, drawn from a source of random numbers."""

import json
import string
from random import Random
from typing import Any

# Lengths and counts at which arithmetic goes wrong.
NUMBERS = (
    0,
    1,
    2,
    3,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 28, 2**31, 2**63, -(2**63), 10**30, 0.0, -0.5, 1e308, float("nan"), float("inf"),
    "", "0", "a", "../../x", "/etc/x", "a\0b", "\x1b[31m", "\ud800", "<script>", "=1+1", "x" * 300,
    [], {}, [[]], [{}], {"": None}, "0" * 64, "NaN", "[[CurrentTime]]",
)  # fmt: skip
# Characters that addresses, names, expressions and tables give a meaning to.
MARKS = "/\\:@?#%&=;,.'\"`*[]{}()<>|!$~^+- \t\r\n\0\x1b\x7f\u202e\ud800é漢😀"
# Deeper than what parsers of JSON take, but not than `repr`.
DEEP = 400


def mutated(random: Random, content: bytes, most: int = 4) -> bytes:
    """Return bytes with some changes: other bits, numbers, order, length."""
    changed = bytearray(content)
    for _ in range(random.randint(1, most)):
        at = random.randrange(len(changed) + 1)
        size = random.choice((1, 2, 4, 8, random.randint(1, 64)))
        kind = random.randrange(8)
        if kind == 0 and changed:
            changed[at % len(changed)] ^= 1 << random.randrange(8)
        elif kind == 1 and changed:
            changed[at % len(changed)] = random.randrange(256)
        elif kind == 2:
            width, order = random.choice((1, 2, 4, 8)), random.choice(("little", "big"))
            number = random.choice(NUMBERS) & (256**width - 1)
            changed[at : at + width] = number.to_bytes(width, order)
        elif kind == 3:
            del changed[at : at + size]
        elif kind == 4:
            del changed[at:]
        elif kind == 5:
            changed[at:at] = changed[at : at + size]
        elif kind == 6:
            changed[at:at] = random.randbytes(size)
        else:
            changed[at : at + size] = bytes(len(changed[at : at + size]))
    return bytes(changed)


def text(random: Random, longest: int = 40) -> str:
    """Return a text of letters, digits and characters with a meaning."""
    alphabet = random.choice((string.ascii_lowercase + string.digits, string.printable, MARKS + "ab1"))
    return "".join(random.choice(alphabet) for _ in range(random.randrange(longest + 1)))


def rewritten(random: Random, given: str) -> str:
    """Return a text with some changes."""
    parts = list(given)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(parts) + 1)
        kind = random.randrange(4)
        if kind == 0:
            parts[at:at] = text(random, 8)
        elif kind == 1:
            del parts[at : at + random.randint(1, 8)]
        elif kind == 2:
            parts[at:at] = parts[: random.randint(1, 20)]
        elif parts:
            parts[at % len(parts)] = random.choice(MARKS)
    return "".join(parts)


def altered(random: Random, value: Any) -> Any:  # noqa: PLR0911  # a return for each kind of change
    """Return a JSON value in which one place, at any depth, is another one."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        kind = random.randrange(10)
        if kind == 0:
            return {name: part for name, part in value.items() if name != key}
        if kind == 1:
            return {**value, text(random, 8): random.choice(VALUES)}
        return {**value, key: altered(random, value[key])}
    if isinstance(value, list | tuple) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        if random.randrange(10) == 0:
            return [*value[:at], *value[at + 1 :]]
        return [*value[:at], altered(random, value[at]), *value[at + 1 :]]
    if isinstance(value, str) and random.random() < 0.5:
        return rewritten(random, value)
    return random.choice(VALUES) if random.random() < 0.95 else nested(random.choice((10, DEEP)))


def nested(depth: int) -> Any:
    """Return lists within lists."""
    found: Any = 0
    for _ in range(depth):
        found = [found]
    return found


def encoded(random: Random, value: Any) -> bytes:
    """Return a value as JSON, which now and then is none."""
    try:
        content = json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        content = b"[" * 5000
    return mutated(random, content, 2) if random.random() < 0.2 else content
