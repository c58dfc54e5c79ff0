/* SPDX-License-Identifier: Apache-2.0 */
#include "tokenizer/added.h"

#include "base/err.h"
#include "base/mem.h"

int mf_added_add(struct mf_added *a, const struct mf_added_token *token)
{
    void *all = a->all;
    int rc = mf_grow(&all, &a->cap, a->n + 1, sizeof(*a->all));
    char *text = rc < 0 ? NULL : mf_strndup(token->text.p, token->text.n);

    a->all = all;
    if (text == NULL) {
        return MF_ENOMEM;
    }
    a->all[a->n] = *token;
    a->all[a->n].text.p = text;
    a->all[a->n].cps = NULL;
    a->n++;
    if (token->normalized) {
        a->n_normalized++;
    } else {
        a->begins[(unsigned char)text[0]] = true;
    }
    return 0;
}

void mf_added_fini(struct mf_added *a)
{
    for (size_t i = 0; i < a->n; i++) {
        mf_free((void *)(uintptr_t)a->all[i].text.p);
        mf_free(a->all[i].cps);
    }
    mf_free(a->all);
    *a = (struct mf_added){0};
}

static int normalise_token(struct mf_added_token *k, const struct mf_normaliser *z)
{
    size_t at = 0;

    k->n_cps = 0;
    k->cps = mf_array(k->text.n * MF_NORM_MAX, sizeof(*k->cps));
    if (k->cps == NULL) {
        return MF_ENOMEM;
    }
    while (at < k->text.n) {
        struct mf_norm_char c;
        uint32_t cp;

        at += mf_norm_decode(k->text, at, &cp);
        mf_normalise(z, cp, &c);
        memcpy(k->cps + k->n_cps, c.cp, c.n * sizeof(*c.cp));
        k->n_cps += c.n;
    }
    return k->n_cps > 0 ? 0 : MF_EINVAL;
}

int mf_added_normalise(struct mf_added *a, const struct mf_normaliser *z)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        if (a->all[i].normalized) {
            rc = normalise_token(&a->all[i], z);
        }
    }
    return rc;
}

const struct mf_added_token *mf_added_at(const struct mf_added *a, struct mf_slice text,
                                         size_t at)
{
    const struct mf_added_token *best = NULL;

    for (size_t i = 0; i < a->n; i++) {
        const struct mf_added_token *k = &a->all[i];

        if (!k->normalized && k->text.n <= text.n - at &&
            (best == NULL || k->text.n > best->text.n) &&
            memcmp(k->text.p, text.p + at, k->text.n) == 0) {
            best = k;
        }
    }
    return best;
}
