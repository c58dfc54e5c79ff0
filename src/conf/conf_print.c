/* SPDX-License-Identifier: Apache-2.0 */
/* The table as YAML, as a sample file and as docs/config.md. */
#include "conf/conf.h"
#include "conf/key_table.h"

#include <string.h>

#define MAX_DEPTH 8

struct path {
    struct mf_slice part[MAX_DEPTH];
    size_t n;
};

static struct path split(const char *name)
{
    struct path p = {.n = 0};

    for (;;) {
        size_t n = strcspn(name, ".");

        MF_ASSERT(p.n < MAX_DEPTH);
        p.part[p.n++] = mf_slice_of(name, n);
        if (name[n] == '\0') {
            return p;
        }
        name += n + 1;
    }
}

static void indent(struct mf_buf *out, size_t depth)
{
    for (size_t i = 0; i < depth; i++) {
        mf_buf_add_str(out, "  ");
    }
}

/* Opens the sections of `now` that `before` had not open. */
static void open_sections(struct mf_buf *out, const struct path *before,
                          const struct path *now)
{
    size_t same = 0;

    while (same + 1 < now->n && same + 1 < before->n &&
           mf_slice_eq(before->part[same], now->part[same])) {
        same++;
    }
    for (; same + 1 < now->n; same++) {
        indent(out, same);
        mf_buf_add_slice(out, now->part[same]);
        mf_buf_add_str(out, ":\n");
    }
}

static void print_yaml(const struct mf_conf *c, bool has_docs, struct mf_buf *out)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);
    struct path before = {.n = 0};

    for (size_t i = 0; i < n; i++) {
        struct path now = split(keys[i].name);

        open_sections(out, &before, &now);
        if (has_docs) {
            indent(out, now.n - 1);
            mf_buf_addf(out, "# %s\n", keys[i].doc);
        }
        indent(out, now.n - 1);
        mf_buf_add_slice(out, now.part[now.n - 1]);
        mf_buf_add_str(out, ": ");
        mf_conf_key_print(c, &keys[i], c == NULL, out);
        mf_buf_add_char(out, '\n');
        before = now;
    }
}

void mf_conf_print(const struct mf_conf *c, struct mf_buf *out)
{
    print_yaml(c, false, out);
}

void mf_conf_print_sample(struct mf_buf *out)
{
    mf_buf_add_str(out,
                   "# memfuse: every key with its default. Keep what you change.\n");
    print_yaml(NULL, true, out);
}

void mf_conf_print_doc(struct mf_buf *out)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    mf_buf_add_str(
        out,
        "# Configuration\n\n"
        "Written by `memfuse print-config --docs` from the key table; do not edit.\n\n"
        "A value comes from, later ones first: `--set section.key=value`, the environment\n"
        "(`MEMFUSE__SECTION__KEY`), the files `FILE.d/NAME.yaml` in the order of their\n"
        "names, the file given with `-c FILE` (else `./memfuse.yaml`, when it is there),\n"
        "the default. An unknown key or a bad value is an error, and all errors are told\n"
        "at once; `memfuse check-config` looks for them without starting anything.\n\n"
        "Sizes are bytes, or have a unit: KiB, MiB, GiB. Times are seconds, or have a\n"
        "unit: ms, s, m, h, d. `MEMFUSE_BUFFER_ENABLED` is another name for\n"
        "`MEMFUSE__BUFFER__ENABLED`.\n\n"
        "| key | default | values | what it is |\n|---|---|---|---|\n");
    for (size_t i = 0; i < n; i++) {
        mf_buf_addf(out, "| `%s` | `", keys[i].name);
        mf_conf_key_print(NULL, &keys[i], true, out);
        mf_buf_add_str(out, "` | ");
        mf_conf_key_print_bounds(&keys[i], out);
        mf_buf_addf(out, " | %s |\n", keys[i].doc);
    }
}
