"""The words the network knows, in the order of its classes; class 0 is "no word"."""

from __future__ import annotations

DIGITS = "zero one two three four five six seven eight nine ten".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million".split()
DAYS = "sunday monday tuesday wednesday thursday friday saturday".split()
MONTHS = "january february march april may june july august september october november december".split()
# The letters' words, but November, which is a month already.
NATO = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike oscar papa quebec romeo sierra "
    "tango uniform victor whiskey xray yankee zulu"
).split()
COMMANDS = "hello goodbye pause record star pound today tomorrow yesterday minus number password".split()

NO_WORD = "no word"
CLASSES = [NO_WORD, *DIGITS, *TENS, *DAYS, *MONTHS, *NATO, *COMMANDS]

# What a synthesiser has to read where the spelling of the class is not enough.
SPOKEN = {"xray": "x ray", "papa": "papa", "may": "May", "march": "March", "august": "August"}


def spoken(word: str) -> str:
    """The text to give to a synthesiser for a class."""
    return SPOKEN.get(word, word.capitalize() if word in DAYS + MONTHS else word)
