/* SPDX-License-Identifier: Apache-2.0 */
#include "api/envelope.h"

#include "api/json_out.h"
#include "base/id.h"

void mf_envelope_begin(struct mf_buf *b, int status)
{
    MF_JSON_PUT(b, "{\"status\":\"success\",\"code\":");
    mf_buf_add_u64(b, (uint64_t)status);
    MF_JSON_PUT(b, ",\"data\":");
}

void mf_envelope_end(struct mf_buf *b, const char *message)
{
    MF_JSON_PUT(b, ",\"message\":");
    mf_json_put_str(b, message);
    MF_JSON_PUT(b, ",\"errors\":null}");
}

static void put_error_head(struct mf_buf *b, int status, struct mf_slice message)
{
    MF_JSON_PUT(b, "\"status\":\"error\",\"code\":");
    mf_buf_add_u64(b, (uint64_t)status);
    MF_JSON_PUT(b, ",\"data\":null,\"message\":");
    mf_json_put_text(b, message);
    MF_JSON_PUT(b, ",\"errors\":[");
}

static void put_error(struct mf_buf *b, const char *field, struct mf_slice message)
{
    MF_JSON_PUT(b, "{\"field\":");
    mf_json_put_str(b, field == NULL ? "general" : field);
    MF_JSON_PUT(b, ",\"message\":");
    mf_json_put_text(b, message);
    mf_buf_add_char(b, '}');
}

void mf_envelope_error(struct mf_buf *b, int status, const char *field,
                       const char *message)
{
    mf_envelope_error_as(b, status, message, field, mf_slice_str(message));
}

void mf_envelope_error_as(struct mf_buf *b, int status, const char *message,
                          const char *field, struct mf_slice sentence)
{
    mf_buf_add_char(b, '{');
    put_error_head(b, status, mf_slice_str(message));
    put_error(b, field, sentence);
    MF_JSON_PUT(b, "]}");
}

void mf_envelope_detail(struct mf_buf *b, int status, const char *detail)
{
    MF_JSON_PUT(b, "{\"detail\":");
    mf_json_put_str(b, detail);
    mf_buf_add_char(b, ',');
    put_error_head(b, status, mf_slice_str(detail));
    put_error(b, NULL, mf_slice_str(detail));
    MF_JSON_PUT(b, "]}");
}

/* Digits of "[12]"; 0 for what only looks so: fields may hold keys of clients. */
static size_t index_at(const char *at)
{
    size_t n = at[0] == '[' ? strspn(at + 1, "0123456789") : 0;

    return n > 9 || (n > 1 && at[1] == '0') || (n > 0 && at[n + 1] != ']') ? 0 : n;
}

/* "messages[3].content" as ["body","messages",3,"content"]. */
static void put_loc(struct mf_buf *b, const char *field)
{
    MF_JSON_PUT(b, "[\"body\"");
    for (const char *at = field; *at != '\0' && strcmp(field, "body") != 0;) {
        size_t digits = index_at(at);
        size_t n = digits > 0 ? digits + 2 : strcspn(at + 1, ".[") + 1;

        mf_buf_add_char(b, ',');
        if (digits > 0) {
            mf_buf_add(b, at + 1, digits);
        } else {
            mf_json_put_text(b, mf_slice_of(at, n));
        }
        at += n;
        at += *at == '.';
    }
    mf_buf_add_char(b, ']');
}

void mf_envelope_faults(struct mf_buf *b, int status, const struct mf_faults *f)
{
    size_t n = mf_faults_kept(f);
    struct mf_buf message;

    MF_JSON_PUT(b, "{\"detail\":[");
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, i == 0 ? "{\"type\":" : ",{\"type\":");
        mf_json_put_str(b, f->all[i].type);
        MF_JSON_PUT(b, ",\"loc\":");
        put_loc(b, f->all[i].field);
        MF_JSON_PUT(b, ",\"msg\":");
        mf_json_put_str(b, f->all[i].msg);
        mf_buf_add_char(b, '}');
    }
    MF_JSON_PUT(b, "],");
    mf_buf_init(&message);
    mf_buf_addf(&message, "%s: %s", f->all[0].field, f->all[0].msg);
    if (f->n > 1) {
        mf_buf_addf(&message, " (and %zu more)", f->n - 1);
    }
    b->failed = b->failed || message.failed;
    put_error_head(b, status, mf_slice_of(message.p, message.n));
    mf_buf_fini(&message);
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, i == 0 ? "" : ",");
        put_error(b, f->all[i].field, mf_slice_str(f->all[i].msg));
    }
    MF_JSON_PUT(b, "]}");
}

unsigned mf_retry_after(int status)
{
    unsigned char r;
    unsigned base = status == 429 || status == 503 ? 1
                    : status == 504                ? 2
                    : status == 507                ? 20
                                                   : 0;

    if (base == 0) {
        return 0;
    }
    mf_random(&r, sizeof(r));
    return base + r % 3;
}
