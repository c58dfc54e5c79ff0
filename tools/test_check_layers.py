#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_layers.py finds each fault that is planted in a small tree, and no other."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).with_name("check_layers.py")
CLEAN = {
    "docs/layers.txt": "0 base: | xxhash.h\n1 low: base | sqlite3.h\n1 side: base |\n"
                       "2 high: base low | yaml.h top.c:uv.h\n",
    "src/base/a.h": "/* strcpy(a, b) in a comment */\n#include <xxhash.h>\n",
    "src/low/l.h": "#include \"base/a.h\"\n#include <sqlite3.h>\n",
    "src/low/l.c": "#include \"low/l.h\"\nf(snprintf(b, n, \"%d rows\", 1));\n",
    "src/high/top.c": "#include \"low/l.h\"\n#include <uv.h>\n#include <sys/stat.h>\n",
    "src/high/CMakeLists.txt": "mf_module(high\n  SOURCES top.c\n  DEPENDS base low\n"
                               "  LIBS PkgConfig::UV)\n",
}


class CheckLayers(unittest.TestCase):
    def run_on(self, changes):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in {**CLEAN, **changes}.items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([sys.executable, CHECK, folder], capture_output=True,
                                  text=True, check=False)
        return done.returncode, done.stdout

    def refuses(self, changes, *sentences):
        status, out = self.run_on(changes)
        self.assertEqual(status, 1, out)
        self.assertEqual(len(out.splitlines()), len(sentences), out)
        for sentence in sentences:
            self.assertIn(sentence, out)

    def test_accepts_a_clean_tree(self):
        self.assertEqual(self.run_on({})[0], 0)

    def test_refuses_include_from_above(self):
        self.refuses({"src/base/b.c": '\n#include "low/l.h"\n'},
                     "src/base/b.c:2: base may not include low/l.h")

    def test_refuses_neighbour_that_is_not_named(self):
        self.refuses({"src/low/m.c": '#include "side/s.h"\n'}, "low may not include side/s.h")

    def test_refuses_foreign_header(self):
        self.refuses({"src/low/m.c": "#include <yaml.h>\n"}, "low may not include yaml.h")
        self.refuses({"src/low/m.c": "#include <jansson.h>\n"}, "may not include jansson.h")

    def test_keeps_a_header_to_its_file(self):
        self.refuses({"src/high/other.c": "#include <uv.h>\n"}, "other.c may not include uv.h")

    def test_refuses_module_without_a_line(self):
        self.refuses({"src/new/n.c": "\n"}, "new has no line")

    def test_refuses_dependency_that_is_not_named(self):
        self.refuses({"src/low/CMakeLists.txt": "mf_module(low SOURCES l.c DEPENDS base side)"},
                     "low may not depend on side")
        self.refuses({"src/low/CMakeLists.txt": "target_link_libraries(x mf_high)"},
                     "low may not depend on high")

    def test_refuses_table_that_points_up_or_in_a_circle(self):
        self.refuses({"docs/layers.txt": CLEAN["docs/layers.txt"].replace("base: ", "base: low ")},
                     "base names low, which stands above it", "a circle: base -> low -> base")

    def test_refuses_long_file(self):
        self.assertEqual(self.run_on({"src/low/m.c": "\n" * 600})[0], 0)
        self.refuses({"src/low/m.c": "\n" * 601}, "601 lines")

    def test_refuses_functions_without_bound(self):
        self.refuses({"src/low/m.c": 'f();\nsprintf(b, "x"); strcat (a, b);\n'},
                     "src/low/m.c:2: sprintf knows no bound", "strcat knows no bound")

    def test_refuses_sql_made_by_format_where_a_database_is_seen(self):
        text = 'snprintf(b, n,\n  "SELECT %s", x);\n'
        self.refuses({"src/low/m.c": '#include "low/l.h"\n' + text},
                     "src/low/m.c:2: SQL made by snprintf")
        self.assertEqual(self.run_on({"src/side/m.c": text})[0], 0)


if __name__ == "__main__":
    unittest.main()
