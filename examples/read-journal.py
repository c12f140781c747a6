#!/usr/bin/env python3
"""Reads a Tidegate journal and checks its chain with nothing but the standard library.

Usage: read-journal.py STATE_DIRECTORY
Prints each record's number, time and kind; exits 1 at the first line that is not what was written.
"""
import hashlib
import json
import pathlib
import sys

previous, seq = None, None
count = 0
for path in sorted(pathlib.Path(sys.argv[1], "journal").glob("*.jsonl")):
    lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
    header = json.loads(lines[0])
    if previous is None:  # what was before the oldest file is taken on trust
        previous, seq = header["continues"], header["from"] - 1
    if header["format"] != 1 or header["continues"] != previous or header["from"] != seq + 1:
        sys.exit(f"{path}: the header does not continue what was before it")
    for line in lines[1:]:
        body, _, rest = line.rpartition(b',"hash":"')
        computed = hashlib.sha256(previous.encode() + body).hexdigest()[:32]
        record = json.loads(line)
        if computed != record["hash"] or record["seq"] != seq + 1:
            sys.exit(f"{path}: record {seq + 1} is not what was written")
        previous, seq = computed, record["seq"]
        count += 1
        fact = record["fact"]
        print(seq, record["at"], fact if isinstance(fact, str) else next(iter(fact)))
print(f"{count} records, last hash {previous}")
