#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds keys of src/conf/conf_keys.h that nothing reads: a setting must do something.

check_conf_readers.py [ROOT]    prints each as path:line: sentence; exit status 1 if any

A reader is `conf->field` or `conf.field` in src/ outside src/conf, where conf is that
word or any name the file declares as `struct mf_conf *name`. Comments, strings and
assignments to the field do not count.
"""
import re
import sys
from pathlib import Path

TABLE = "src/conf/conf_keys.h"
KEY = re.compile(r'\bX\(\s*[A-Z]+\s*,\s*(\w+)\s*,[\s\\]*"([^"\n]+)"')
COMMENT_OR_STRING = re.compile(
    r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)
DECLARED = re.compile(r"\bstruct\s+mf_conf\s*\*?\s*(?:const\s+)?(\w+)\b")
# The field is looked at, not taken: in a.conf.field it is conf's although a.conf came first.
READ = re.compile(
    r"\b(\w+)\s*(?:->|\.)\s*(?=(\w+)\b(?!\s*(?:[-+*/%&|^]|<<|>>)?=(?!=)))")


def read_table(path):
    """(line, field, key) of each entry; the table's own comments are no entries."""
    text = path.read_text()
    comments = [m.span() for m in COMMENT_OR_STRING.finditer(text) if m.group().startswith("/")]
    for match in KEY.finditer(text):
        if not any(start <= match.start() < end for start, end in comments):
            yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def fields_read(text):
    text = COMMENT_OR_STRING.sub(" ", text)
    names = {"conf"} | set(DECLARED.findall(text))
    return {field for name, field in READ.findall(text) if name in names}


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    keys = list(read_table(root / TABLE))
    if not keys:
        print(f"{TABLE}:1: no key found")
        return 1
    read = set()
    for path in (root / "src").rglob("*.[ch]"):
        if path.relative_to(root).parts[1] != "conf":
            read |= fields_read(path.read_text())
    missing = [k for k in keys if k[1] not in read]
    for line, field, key in missing:
        print(f"{TABLE}:{line}: {key}: nothing in src/ reads {field}")
    if not missing:
        print(f"check_conf_readers.py: each of {len(keys)} keys has a reader")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
