/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct code_info {
    const char *name;
    int status;
    const char *sentence;
};

static const struct code_info codes[] = {{"OK", 200, "ok"},
#define X(name, status, sentence) {#name, status, sentence},
                                         MF_ERR_TABLE(X)
#undef X
};

static const struct code_info *info_of(int code)
{
    size_t i = (size_t)-code;

    MF_ASSERT(code <= 0 && i < mf_countof(codes));
    return &codes[i];
}

int mf_err_set(struct mf_err *err, int code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL) {
        return code;
    }
    err->code = code;
    err->sys = 0;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    return code;
}

int mf_err_wrap(struct mf_err *err, int code, const char *fmt, ...)
{
    char inner[MF_ERR_MAX];
    va_list ap;
    int n;

    if (err == NULL) {
        return code;
    }
    (void)snprintf(inner, sizeof(inner), "%s",
                   err->msg[0] != '\0' ? err->msg : mf_code_sentence(code));
    err->code = code;
    va_start(ap, fmt);
    n = vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(err->msg)) {
        (void)snprintf(err->msg + n, sizeof(err->msg) - (size_t)n, ": %s", inner);
    }
    return code;
}

const char *mf_code_name(int code)
{
    return info_of(code)->name;
}

const char *mf_code_sentence(int code)
{
    return info_of(code)->sentence;
}

int mf_code_status(int code)
{
    return info_of(code)->status;
}

int mf_code_from_errno(int sys)
{
    switch (sys) {
    case 0: return MF_OK;
    case ENOMEM: return MF_ENOMEM;
    case ENOSPC:
    case EDQUOT: return MF_ENOSPC;
    case ENOENT: return MF_ENOTFOUND;
    case EEXIST: return MF_EEXIST;
    case EINVAL: return MF_EINVAL;
    case ETIMEDOUT: return MF_ETIMEOUT;
    case EAGAIN:
    case EMFILE:
    case ENFILE: return MF_EBUSY;
    default: return MF_EIO;
    }
}
