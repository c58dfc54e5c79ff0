/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/conf_kit.h"

#include <string.h>

void conf_kit_open(struct conf_kit *k)
{
    MF_CHECK_OK(mf_conf_init(&k->c));
    mf_buf_init(&k->r.text);
    k->r.n_problems = 0;
}

void conf_kit_close(struct conf_kit *k)
{
    mf_conf_fini(&k->c);
    mf_buf_fini(&k->r.text);
}

int conf_kit_set(struct conf_kit *k, const char *assignment)
{
    return mf_conf_set(&k->c, assignment, &k->r);
}

int conf_kit_yaml(struct conf_kit *k, const char *text)
{
    return mf_conf_read_yaml(&k->c, mf_slice_str(text), "f.yaml", &k->r);
}

void conf_kit_says(struct conf_kit *k, const char *text)
{
    mf_buf_add_char(&k->r.text, '\0');
    MF_CHECK_OK(mf_buf_status(&k->r.text));
    MF_CHECK_STR(k->r.text.p, text);
    mf_buf_reset(&k->r.text);
    k->r.n_problems = 0;
}

void conf_kit_same(const struct mf_conf *a, const struct mf_conf *b)
{
    size_t n;
    const struct mf_conf_key *keys = mf_conf_keys(&n);

    for (size_t i = 0; i < n; i++) {
        const char *at = (const char *)a + keys[i].offset;
        const char *bt = (const char *)b + keys[i].offset;
        bool is_same = false;

        switch (keys[i].type) {
        case MF_CONF_STR:
        case MF_CONF_ENUM:
            is_same = strcmp(*(char *const *)at, *(char *const *)bt) == 0;
            break;
        case MF_CONF_BOOL: is_same = *(const bool *)at == *(const bool *)bt; break;
        case MF_CONF_REAL: is_same = *(const double *)at == *(const double *)bt; break;
        case MF_CONF_UINT:
        case MF_CONF_SIZE:
        case MF_CONF_TIME:
            is_same = *(const uint64_t *)at == *(const uint64_t *)bt;
            break;
        }
        if (!is_same) {
            fail_msg("%s differs", keys[i].name);
        }
    }
}
