/* SPDX-License-Identifier: Apache-2.0 */
#include "flush/retry.h"

#include "base/err.h"

enum kind { KIND_REFUSAL, KIND_PASSING, KIND_STRANGE };

static enum kind kind_of(int code)
{
    switch ((enum mf_code)code) {
    case MF_EPOISON:
    case MF_ECONFLICT:
    case MF_ETOOBIG:
    case MF_EUNPROCESSABLE: return KIND_REFUSAL;
    case MF_EIO:
    case MF_EDB:
    case MF_EBUSY:
    case MF_ENOMEM:
    case MF_ENOSPC:
    case MF_ETIMEOUT:
    case MF_EUNAVAILABLE:
    case MF_ERATE:
    case MF_ECLOSED:
    case MF_ECANCELED: return KIND_PASSING;
    case MF_OK:
    case MF_EINVAL:
    case MF_EAUTH:
    case MF_EFORBIDDEN:
    case MF_ENOTFOUND:
    case MF_EEXIST:
    case MF_ECORRUPT:
    case MF_EBACKEND:
    case MF_EFATAL: break;
    }
    return KIND_STRANGE;
}

struct mf_flush_outcome mf_flush_judge(const struct mf_dep_config *cfg, int code,
                                       unsigned attempts, size_t n_rounds,
                                       uint32_t chance)
{
    enum kind kind = kind_of(code);
    struct mf_flush_outcome o = {.is_refusal = kind == KIND_REFUSAL,
                                 .is_loud = kind == KIND_STRANGE};

    if (kind == KIND_REFUSAL || !mf_dep_may_retry(cfg, attempts)) {
        o.verdict = n_rounds > 1 ? MF_FLUSH_SPLIT : MF_FLUSH_PARK;
        return o;
    }
    o.verdict = MF_FLUSH_RETRY;
    o.wait_ms = mf_dep_backoff_ms(cfg, attempts, chance);
    return o;
}
