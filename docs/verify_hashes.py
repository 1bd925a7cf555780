#!/usr/bin/env python3
"""Recompute the hash chain of a Postfold ledger with nothing but Python's standard library.

Reads events on standard input, in the text form of PostgreSQL's COPY, in order of position, with the
columns that docs/hash.md names. Ends with 0 when every hash follows from its row and the hash before it,
with 1 at the first that does not.

usage: verify_hashes.py LEDGER [HASH]
  LEDGER  the ledger's name, from which the chain begins
  HASH    begin behind this hash instead: the one at the position before the first that is given
"""

import hashlib
import re
import sys

COLUMNS = 11
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
MEANING = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def field(text):
    """A field of COPY: \\N is an absent one, a backslash begins an escape."""
    if text == "\\N":
        return None
    return ESCAPED.sub(lambda escape: MEANING.get(escape[1], escape[1]), text)


def encode(text):
    """Length in 4 bytes, big-endian and signed, then UTF-8; an absent field is the length -1."""
    if text is None:
        return (-1).to_bytes(4, "big", signed=True)
    utf8 = text.encode("utf-8")
    return len(utf8).to_bytes(4, "big", signed=True) + utf8


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    begin = hashlib.sha256(b"postfold/1/" + sys.argv[1].encode("utf-8")).hexdigest()
    before = bytes.fromhex(sys.argv[2] if len(sys.argv) == 3 else begin)
    events = 0
    for line in sys.stdin.buffer:
        fields = [field(text) for text in line.decode("utf-8").rstrip("\n").split("\t")]
        if len(fields) != COLUMNS:
            sys.exit(f"row {events + 1} has {len(fields)} columns, not {COLUMNS}: see docs/hash.md")
        *covered, stored = fields
        follows = hashlib.sha256(before + b"".join(encode(text) for text in covered)).hexdigest()
        if follows != stored:
            print(f"position {covered[0]}: {stored} is stored, {follows} follows from the row")
            sys.exit(1)
        before = bytes.fromhex(stored)
        events += 1
    print(f"{events} events, head {before.hex()}")


main()
