/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties: a time that parses formats to a text which parses to the same time; a
 * quoted log value has no blank, quote or control byte that would end it; a number that
 * parses prints to itself without its leading zeros; an accepted id keeps its bytes.
 */
#include "base/id.h"
#include "base/log.h"
#include "base/str.h"
#include "base/wallclock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_time(struct mf_slice text)
{
    char out[MF_ISO8601_LEN + 1];
    int64_t us, again;
    int year, month;

    if (mf_iso8601_parse(text, &us) < 0) {
        return;
    }
    mf_iso8601_format(us, out);
    MF_ASSERT(strlen(out) == MF_ISO8601_LEN);
    MF_ASSERT(mf_iso8601_parse(mf_slice_str(out), &again) == 0 && again == us);
    mf_wallclock_year_month(us, &year, &month);
    MF_ASSERT(year >= 1 && year <= 9999 && month >= 1 && month <= 12);
}

static void check_quote(struct mf_slice text)
{
    char out[64];
    size_t len;

    (void)mf_log_quote(out, sizeof(out), text.p, text.n);
    len = strlen(out);
    MF_ASSERT(len < sizeof(out) && len > 0);
    for (size_t i = 0; i < len; i++) {
        MF_ASSERT((unsigned char)out[i] >= ' ' && (unsigned char)out[i] < 0x7f);
    }
    if (out[0] != '"') {
        MF_ASSERT(strpbrk(out, " =\"\\") == NULL);
        return;
    }
    MF_ASSERT(len >= 2 && out[len - 1] == '"');
    for (size_t i = 1; i < len - 1; i++) {
        MF_ASSERT(out[i] != '"');
        i += out[i] == '\\';
        MF_ASSERT(i < len - 1);
    }
}

static void check_number(struct mf_slice text)
{
    struct mf_buf b;
    uint64_t v;

    if (mf_slice_to_u64(text, &v) < 0) {
        return;
    }
    while (text.n > 1 && text.p[0] == '0') {
        text.p++;
        text.n--;
    }
    mf_buf_init(&b);
    mf_buf_add_u64(&b, v);
    MF_ASSERT(mf_buf_status(&b) < 0 || mf_slice_eq(mf_slice_of(b.p, b.n), text));
    mf_buf_fini(&b);
}

static void check_id(struct mf_slice text)
{
    struct mf_id id;

    if (mf_id_from(&id, text) < 0) {
        return;
    }
    MF_ASSERT(mf_slice_eq(mf_id_slice(&id), text) && strlen(id.s) == text.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_slice text = mf_slice_of((const char *)data, n);

    check_time(text);
    check_quote(text);
    check_number(text);
    check_id(text);
    return 0;
}
