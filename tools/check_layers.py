#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the tree with docs/layers.txt and a few rules of the house.

check_layers.py [ROOT]    prints each finding as path:line: sentence; exit status 1 if any
"""
import re
import sys
from pathlib import Path

MAX_LINES = 600
C_LIBRARY = set("""
arpa/inet.h assert.h ctype.h dirent.h dlfcn.h endian.h errno.h fcntl.h float.h ftw.h getopt.h
immintrin.h inttypes.h limits.h locale.h malloc.h math.h netdb.h netinet/in.h netinet/tcp.h
poll.h pthread.h pwd.h grp.h sched.h signal.h stdalign.h stdarg.h stdatomic.h stdbool.h
spawn.h stddef.h stdint.h stdio.h stdlib.h stdnoreturn.h string.h strings.h syslog.h time.h unistd.h
""".split())
CXX_LIBRARY = set("chrono cstdio cstring memory new string system_error vector".split())
CXX = (".cpp", ".hpp")
C_LIBRARY_FOLDERS = ("sys/", "linux/", "asm/")
DATABASE_HEADERS = {"sqlite3.h", "libpq-fe.h"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
UNBOUNDED = re.compile(r"\b(v?sprintf|strcpy|strcat|gets)\s*\(")
FORMATTED_SQL = re.compile(
    r"\b(v?snprintf|v?asprintf|v?dprintf|mf_buf_addf|sqlite3_v?s?n?m?printf)\s*\("
    r'[^;]*?"[^"]*\b(SELECT|INSERT|UPDATE|DELETE)\b', re.S)


class Module:
    def __init__(self, layer, may, headers):
        self.layer = layer
        self.may = may
        self.headers = headers  # header -> None (all files) or the set of file names


def read_layers(path):
    modules, findings = {}, []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        match = re.fullmatch(r"(\d+)\s+(\w+):([^|]*)(?:\|(.*))?", line)
        if not match:
            findings.append((path, number, "not of the form 'layer module: names | headers'"))
            continue
        layer, name, may, headers = match.groups()
        allowed = {}
        for word in (headers or "").split():
            file, _, header = word.rpartition(":")
            if not file:
                allowed[header] = None
            elif allowed.get(header, set()) is not None:
                allowed.setdefault(header, set()).add(file)
        modules[name] = Module(int(layer), set(may.split()), allowed)
    return modules, findings


def check_table(modules, path):
    for name, module in modules.items():
        for other in sorted(module.may):
            if other not in modules:
                yield path, 1, f"{name} names {other}, which has no line"
            elif modules[other].layer > module.layer:
                yield path, 1, f"{name} names {other}, which stands above it"
    done = set()

    def circle(name, trail):
        if name in trail:
            return trail[trail.index(name):] + [name]
        if name in done or name not in modules:
            return None
        for other in sorted(modules[name].may):
            found = circle(other, trail + [name])
            if found:
                return found
        done.add(name)
        return None

    for name in modules:
        found = circle(name, [])
        if found:
            yield path, 1, "a circle: " + " -> ".join(found)
            return


def without_comments(text):
    """Blanks comments, keeps strings and line numbers."""
    token = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|//[^\n]*|/\*.*?\*/', re.S)

    def blank(match):
        word = match.group()
        return re.sub(r"[^\n]", " ", word) if word.startswith("/") else word

    return token.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check_includes(name, module, path, text, modules):
    for match in INCLUDE.finditer(text):
        kind, header = match.groups()
        line = line_of(text, match.start(2))
        folder = header.split("/")[0] if "/" in header else None
        if kind == '"' and folder in modules:
            if folder != name and folder not in module.may:
                yield path, line, f"{name} may not include {header} (docs/layers.txt)"
            continue
        if kind == "<" and (header in C_LIBRARY or header.startswith(C_LIBRARY_FOLDERS)):
            continue
        if kind == "<" and header in CXX_LIBRARY and path.suffix in CXX:
            continue
        if header not in module.headers:
            yield path, line, f"{name} may not include {header} (docs/layers.txt)"
        elif module.headers[header] is not None and path.name not in module.headers[header]:
            yield path, line, f"{path.name} may not include {header} (docs/layers.txt)"


def check_depends(name, module, path, modules):
    text = re.sub(r"#.*", "", path.read_text())
    named = set()
    for match in re.finditer(r"\bDEPENDS\s+([^)]*)", text):
        for word in match.group(1).split():
            if word.isupper():
                break
            named.add(word)
    named |= set(re.findall(r"\bmf_(\w+)\b", text)) & set(modules)
    for other in sorted(named - module.may - {name}):
        yield path, 1, f"{name} may not depend on {other} (docs/layers.txt)"


def database_files(sources):
    """The files that see a database header, by themselves or through a header of ours."""
    sees, grew = set(), True
    while grew:
        grew = False
        for key, text in sources.items():
            headers = {m.group(2) for m in INCLUDE.finditer(text)}
            if key not in sees and headers & (DATABASE_HEADERS | sees):
                sees.add(key)
                grew = True
    return sees


def check_text(path, raw, text, sees_database):
    n_lines = raw.count("\n")
    if n_lines > MAX_LINES:
        yield path, n_lines, f"{n_lines} lines; a file ends before {MAX_LINES}"
    for match in UNBOUNDED.finditer(text):
        yield path, line_of(text, match.start()), f"{match.group(1)} knows no bound"
    if sees_database:
        for match in FORMATTED_SQL.finditer(text):
            yield (path, line_of(text, match.start()),
                   f"SQL made by {match.group(1)}: bind its values instead")


def check_tree(root):
    layers = root / "docs/layers.txt"
    modules, findings = read_layers(layers)
    findings += check_table(modules, layers)
    source = root / "src"
    raws = {p: p.read_text() for p in sorted(source.rglob("*"))
            if p.suffix in (".c", ".h", ".cpp", ".hpp")}
    texts = {p: without_comments(raw) for p, raw in raws.items()}
    database = database_files({str(p.relative_to(source)): t for p, t in texts.items()})
    for path, text in texts.items():
        name = path.relative_to(source).parts[0]
        if name not in modules:
            findings.append((path, 1, f"{name} has no line in docs/layers.txt"))
            continue
        findings += check_includes(name, modules[name], path, text, modules)
        findings += check_text(path, raws[path], text,
                               str(path.relative_to(source)) in database)
    for path in sorted(source.rglob("CMakeLists.txt")):
        name = path.relative_to(source).parts[0]
        if name in modules:
            findings += check_depends(name, modules[name], path, modules)
    return len(texts), findings


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    n_files, findings = check_tree(root)
    for path, line, sentence in findings:
        print(f"{path.relative_to(root)}:{line}: {sentence}")
    if not findings:
        print(f"check_layers.py: {n_files} files keep the rules")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
