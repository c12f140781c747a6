#!/usr/bin/env python3
"""Reads a Tidegate journal and checks its chain with nothing but the standard library.

Usage: read-journal.py STATE_DIRECTORY
Prints each record's number, time and kind. Exits with 1 and names the place where something is not
what was written. Where it may be a write that is under way, or was cut, it says so and stops there.
"""
import hashlib, json, pathlib, re, sys

HEADER = b'{"tidegate":"journal","format":1,"continues":"%s","from":%d}'
CONTINUES = re.compile(rb'"continues":"([0-9a-f]{32})"')
RECORD = re.compile(rb'(\{"seq":([1-9][0-9]*),"at":".*),"hash":"([0-9a-f]{32})"\}')

def blank(line):  # space that is filled ahead, or the beginning of a batch
    return line == b" " or not line.strip(b"\0")

files = sorted(pathlib.Path(sys.argv[1], "journal").glob("[0-9]" * 20 + ".jsonl"))
previous, seq, count, bad = b"0" * 32, 0, 0, ""
for path in files:
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if number == 1:
            if path == files[0] and int(path.stem) > 1:  # older ones were dropped: taken on trust
                previous, seq = (CONTINUES.findall(line) or [b""])[0], int(path.stem) - 1
            good = line == HEADER % (previous, seq + 1) and int(path.stem) == seq + 1
            unfinished = not line.endswith(b"}") and all(map(blank, lines[1:]))
        elif blank(line):
            continue
        else:
            found = RECORD.fullmatch(line)
            computed = found and hashlib.sha256(previous + found[1]).hexdigest()[:32].encode()
            good = found and computed == found[3] and int(found[2]) == seq + 1
            unfinished = b" " not in lines[number:]  # no batch is begun before the last is on disk
        if not good and number > 1 and path != files[-1]:
            bad = f"{path}, line {number}"  # harmless where the next file goes on from the last record
            break
        if not good and unfinished and path == files[-1]:
            print(f"{path}, line {number}: a write that is under way, or was cut", file=sys.stderr)
            break
        if not good:
            sys.exit(f"{bad or f'{path}, line {number}'}: this is not what follows record {seq}")
        bad = ""
        if number > 1:
            previous, seq, count = computed, seq + 1, count + 1
            record = json.loads(line)
            fact = record["fact"]
            print(seq, record["at"], fact if isinstance(fact, str) else next(iter(fact)))
print(f"{count} records, last hash {previous.decode()}")
