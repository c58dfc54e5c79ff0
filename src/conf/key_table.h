/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_table: the key table as data, for the readers and printers of conf.
 *
 * Owns:    nothing (static)
 * Thread:  any
 * Limits:  none
 * Fails:   MF_EINVAL with a sentence that names the bound; MF_ENOMEM
 */
#ifndef MF_CONF_KEY_TABLE_H
#define MF_CONF_KEY_TABLE_H

#include "base/base.h"
#include "base/err.h"
#include "conf/conf.h"

enum mf_conf_type {
    MF_CONF_STR,
    MF_CONF_ENUM,
    MF_CONF_BOOL,
    MF_CONF_UINT,
    MF_CONF_SIZE,
    MF_CONF_TIME,
    MF_CONF_REAL
};

struct mf_conf_key {
    const char *name;
    const char *doc;
    enum mf_conf_type type;
    bool is_dsn;       /* STR: shown without the password in it */
    size_t offset;     /* in struct mf_conf */
    const char *text;  /* STR, ENUM: default */
    const char *words; /* ENUM: a|b|c */
    double def, min, max;
};

MF_ANY const struct mf_conf_key *mf_conf_keys(size_t *n);
MF_ANY const struct mf_conf_key *mf_conf_key_find(struct mf_slice name);
/* Whether keys begin with `name` and a dot. */
MF_ANY bool mf_conf_is_section(struct mf_slice name);
/* The known key that looks most like `name`, or NULL when none does. */
MF_ANY const struct mf_conf_key *mf_conf_key_nearest(struct mf_slice name);
/* Sets one value from its text; err says what is wrong with it. */
MF_MUST MF_ANY int mf_conf_key_set(struct mf_conf *c, const struct mf_conf_key *k,
                                   struct mf_slice value, struct mf_err *err);
MF_MUST MF_ANY int mf_conf_key_reset(struct mf_conf *c, const struct mf_conf_key *k);
MF_ANY void mf_conf_key_clear(struct mf_conf *c, const struct mf_conf_key *k);
/* The value as YAML; with `is_default` the table's. */
MF_ANY void mf_conf_key_print(const struct mf_conf *c, const struct mf_conf_key *k,
                              bool is_default, struct mf_buf *out);
/* "a whole number, 1 to 65535", "a or b", "true or false". */
MF_ANY void mf_conf_key_print_bounds(const struct mf_conf_key *k, struct mf_buf *out);

/* One problem into the report: "where: what". */
MF_ANY int mf_conf_complain(struct mf_conf_report *r, const char *where,
                            const char *fmt, ...) MF_PRINTF(3, 4);
/* Sets by name, complains about unknown names and bad values. 0, MF_EINVAL or
 * MF_ENOMEM. */
MF_MUST MF_ANY int mf_conf_assign(struct mf_conf *c, struct mf_slice name,
                                  struct mf_slice value, const char *where,
                                  struct mf_conf_report *r);

#endif
