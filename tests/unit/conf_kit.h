/* SPDX-License-Identifier: Apache-2.0 */
/* Settings and the report of what was wrong with them, for the tests of conf. */
#ifndef CONF_KIT_H
#define CONF_KIT_H

#include "lib/mf_test.h"

#include "conf/conf.h"
#include "conf/key_table.h"

struct conf_kit {
    struct mf_conf c;
    struct mf_conf_report r;
};

void conf_kit_open(struct conf_kit *k);
void conf_kit_close(struct conf_kit *k);
/* Sets "section.key=value"; the code. */
int conf_kit_set(struct conf_kit *k, const char *assignment);
/* Reads text as the file "f.yaml"; the code. */
int conf_kit_yaml(struct conf_kit *k, const char *text);
/* The report says exactly this. */
void conf_kit_says(struct conf_kit *k, const char *text);
/* All settings of both are the same. */
void conf_kit_same(const struct mf_conf *a, const struct mf_conf *b);

#endif
