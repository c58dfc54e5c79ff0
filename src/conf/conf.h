/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conf: all settings as one plain struct, read from built-in defaults < file < conf.d
 * (FILE.d/NAME.yaml, by name) < environment MEMFUSE__SECTION__KEY < --set
 * section.key=value.
 *
 * All errors are gathered, each with its place (file and line, variable, or --set), and
 * told at once. An unknown key is an error and names the nearest known one.
 *
 * Owns:    its strings
 * Thread:  loop, before anything else is open; read-only afterwards
 * Limits:  1 MiB of YAML, nesting 8; values as in conf_keys.h
 * Fails:   MF_EINVAL: the problems are in the report; MF_ENOMEM; MF_EIO
 */
#ifndef MF_CONF_CONF_H
#define MF_CONF_CONF_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"
#include "conf/conf_keys.h"

#define MF_CONF_TYPE_STR  char *
#define MF_CONF_TYPE_ENUM char *
#define MF_CONF_TYPE_DSN  char *
#define MF_CONF_TYPE_BOOL bool
#define MF_CONF_TYPE_UINT uint64_t
#define MF_CONF_TYPE_SIZE uint64_t
#define MF_CONF_TYPE_TIME uint64_t
#define MF_CONF_TYPE_REAL double

struct mf_conf {
#define X(type, field, key, def, min, max, doc) MF_CONF_TYPE_##type field;
    MF_CONF_KEYS(X)
#undef X
};

/* Defaults. Always followed by mf_conf_fini. */
MF_MUST MF_ANY int mf_conf_init(struct mf_conf *c);
MF_ANY void mf_conf_fini(struct mf_conf *c);

/* Problems found by the readers below, one line each: "memfuse.yaml:12: ...". */
struct mf_conf_report {
    struct mf_buf text;
    size_t n_problems;
};

/* Each reads what it can, adds its problems to the report, and returns MF_EINVAL when
 * there was one. */
MF_MUST MF_ANY int mf_conf_read_file(struct mf_conf *c, const char *path,
                                     struct mf_conf_report *r);
MF_MUST MF_ANY int mf_conf_read_yaml(struct mf_conf *c, struct mf_slice yaml,
                                     const char *name, struct mf_conf_report *r);
MF_MUST MF_ANY int mf_conf_read_dir(struct mf_conf *c, const char *dir,
                                    struct mf_conf_report *r);
MF_MUST MF_ANY int mf_conf_read_env(struct mf_conf *c, char *const *env,
                                    struct mf_conf_report *r);
MF_MUST MF_ANY int mf_conf_set(struct mf_conf *c, const char *assignment,
                               struct mf_conf_report *r); /* "section.key=value" */
/* Values together: loopback without keys, 3 or 5 levels, ... */
MF_MUST MF_ANY int mf_conf_check(const struct mf_conf *c, struct mf_conf_report *r);

MF_ANY void mf_conf_print(const struct mf_conf *c, struct mf_buf *out); /* YAML */
MF_ANY void mf_conf_print_doc(struct mf_buf *out); /* docs/config.md, from the table */
MF_ANY void mf_conf_print_sample(struct mf_buf *out); /* memfuse.yaml, commented */

#endif
