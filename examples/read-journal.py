#!/usr/bin/env python3
"""Reads a Tidegate journal and checks its chain with nothing but the standard library.

Usage: read-journal.py STATE_DIRECTORY
Prints each record's number, time and kind. Exits with 1 and names the place where something is not
what was written. Where it may be a write that is under way, or was cut, it says so and stops there.
"""
import hashlib, pathlib, re, sys

HEADER = re.compile(rb'\{"tidegate":"journal","format":1,"continues":"([0-9a-f]{32})","from":(\d+)\}')
RECORD = re.compile(rb'(\{"seq":(\d+),"at":"([^"]+)","fact":\{?"(\w+)".*),"hash":"([0-9a-f]{32})"\}')

def blank(line):  # space that is filled ahead, or the beginning of a batch
    return line == b" " or not line.strip(b"\0")

files = sorted(pathlib.Path(sys.argv[1], "journal").glob("[0-9]" * 20 + ".jsonl"))
previous, seq, count, bad = b"0" * 32, 0, 0, ""
for path in files:
    first, *lines = path.read_bytes().split(b"\n")
    header = HEADER.fullmatch(first)
    if header and path == files[0] and int(path.stem) > 1:  # older ones were dropped: taken on trust
        previous, seq = header[1], int(path.stem) - 1
    if not header or header[1] != previous or not int(header[2]) == int(path.stem) == seq + 1:
        bad = bad or f"{path}, line 1"
        if path != files[-1] or first.endswith(b"}") or not all(map(blank, lines)):
            sys.exit(f"{bad}: this is not what follows record {seq}")
        break  # a new last file that is only begun
    bad = ""
    for number, line in ((n, line) for n, line in enumerate(lines, 2) if not blank(line)):
        found = RECORD.fullmatch(line)
        computed = found and hashlib.sha256(previous + found[1]).hexdigest()[:32].encode()
        if not found or computed != found[5] or int(found[2]) != seq + 1:
            bad = f"{path}, line {number}"  # harmless where the next file goes on from the last record
            if path == files[-1] and b" " in lines[number - 1:]:  # a batch is begun when the last is on disk
                sys.exit(f"{bad}: this is not what follows record {seq}")
            break
        previous, seq, count = computed, seq + 1, count + 1
        print(seq, found[3].decode(), found[4].decode())
if bad:
    print(f"{bad}: a write that is under way, or was cut", file=sys.stderr)
print(f"{count} records, last hash {previous.decode()}")
