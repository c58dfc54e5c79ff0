#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_conf_readers.py finds a made-up key, and is not fooled by what only looks like a
reader."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CHECK = Path(__file__).with_name("check_conf_readers.py")
TABLE = ('/* MF_CONF_KEYS(X): X(TYPE, field, "section.key", ...) */\n#define MF_CONF_KEYS(X) \\\n'
         '  X(UINT, a_port, "a.port", 1, 0, 9, "doc") \\\n'
         '  X(STR,  a_made_up, \\\n    "a.made_up", "", 0, 9, "doc")\n')
CLEAN = "n = conf->a_port;\n"


class CheckConfReaders(unittest.TestCase):
    def run_on(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in files.items():
                path = Path(folder, "src", name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([sys.executable, CHECK, folder], capture_output=True,
                                  text=True, check=False)
        return done.returncode, done.stdout

    def with_reader(self, text, name="low/l.c"):
        return self.run_on({"conf/conf_keys.h": TABLE, "high/h.c": CLEAN, name: text})

    def is_read(self, text, name="low/l.c"):
        status, out = self.with_reader(text, name)
        self.assertEqual(status, 0, out)

    def is_not_read(self, text, name="low/l.c"):
        status, out = self.with_reader(text, name)
        self.assertEqual(status, 1, out)
        self.assertEqual(out, "src/conf/conf_keys.h:4: a.made_up: nothing in src/ reads "
                              "a_made_up\n")

    def test_a_made_up_key_fails(self):
        self.is_not_read("")

    def test_readers_of_all_shapes(self):
        self.is_read("f(conf->a_made_up);")
        self.is_read("f(s->conf.a_made_up);", "low/l.h")
        self.is_read("f(e->conf\n    ->a_made_up);")
        self.is_read("void g(const struct mf_conf *c)\n{\n f(c->a_made_up);\n}")
        self.is_read("void g(struct mf_conf *c) { if (c->a_made_up == 2) {} }")
        self.is_read("struct mf_conf mine; f(mine.a_made_up);")

    def test_what_only_looks_like_a_reader(self):
        self.is_not_read("/* conf->a_made_up */\n// conf->a_made_up\n")
        self.is_not_read('f("conf->a_made_up");')
        self.is_not_read("conf->a_made_up = 2;")
        self.is_not_read("conf->a_made_up |= 2;")
        self.is_not_read("other->a_made_up;")
        self.is_not_read("conf->a_made_up_too;")
        self.is_not_read("f(conf->a_made_up);", "conf/conf.c")

    def test_a_table_without_keys_fails(self):
        status, out = self.run_on({"conf/conf_keys.h": "\n", "low/l.c": CLEAN})
        self.assertEqual((status, out), (1, "src/conf/conf_keys.h:1: no key found\n"))


if __name__ == "__main__":
    unittest.main()
