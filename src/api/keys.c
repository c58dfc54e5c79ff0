/* SPDX-License-Identifier: Apache-2.0 */
/* API keys of a user: shown once, kept as SHA-256. */
#include "api/entity_out.h"
#include "api/handlers.h"
#include "api/idem.h"
#include "api/json_out.h"
#include "base/wallclock.h"

#include <openssl/crypto.h>

MF_LOOP static void prepare(struct mf_api_req *r, void (*format)(struct mf_api_req *r))
{
    mf_api_call(r, format);
    r->u.entity.kind = MF_ENTITY_API_KEY;
    r->u.entity.in.user_id = r->ids[0];
}

MF_LOOP static void format_list(struct mf_api_req *r)
{
    const struct mf_entity_call *c = &r->u.entity;
    struct mf_buf *out = mf_api_begin(r, 200);

    mf_buf_add_str(out, "{\"api_keys\":");
    mf_entity_put_list(out, MF_ENTITY_API_KEY, c->rows, c->n_rows);
    mf_buf_add_char(out, '}');
    mf_api_finish(r, 200, "API keys retrieved successfully");
}

int mf_handle_keys_list(struct mf_api_req *r)
{
    prepare(r, format_list);
    return mf_engine_entity_list(r->api->engine, &r->u.entity);
}

/* ---- create ---- */

static void put_created(struct mf_buf *out, const struct mf_entity *row,
                        struct mf_slice secret)
{
    mf_envelope_begin(out, 201);
    mf_buf_add_str(out, "{\"api_key\":");
    mf_entity_put(out, MF_ENTITY_API_KEY, row, secret);
    mf_buf_add_char(out, '}');
    mf_envelope_end(out, "API key created successfully");
}

/* What is recorded for a repetition has the key masked: it is written nowhere. */
static int write_record(MF_UNUSED struct mf_entity_call *c,
                        const struct mf_entity *rows, MF_UNUSED size_t n,
                        struct mf_buf *out)
{
    put_created(out, &rows[0], mf_slice_of(NULL, 0));
    return 201;
}

MF_LOOP static int keep_record(struct mf_api_req *r, const struct mf_entity *row)
{
    struct mf_buf *out = &r->api->out;
    char *copy;

    mf_buf_reset(out);
    put_created(out, row, mf_slice_of(NULL, 0));
    if (mf_buf_status(out) < 0) {
        return MF_ENOMEM;
    }
    copy = mf_arena_strndup(&r->http->arena, out->p, out->n);
    r->recorded = mf_slice_of(copy, out->n);
    return copy == NULL ? MF_ENOMEM : 0;
}

MF_LOOP static void format_created(struct mf_api_req *r)
{
    const struct mf_entity *row = &r->u.entity.rows[0];
    int rc = r->idem == NULL ? 0 : keep_record(r, row);

    if (rc < 0) {
        mf_api_fail(r, rc);
        return;
    }
    mf_buf_reset(&r->api->out);
    put_created(&r->api->out, row, r->secret);
    OPENSSL_cleanse((char *)(uintptr_t)r->secret.p, r->secret.n);
    mf_api_send_out(r, 201, NULL);
}

static void take_permissions(struct mf_api_req *r, const struct mf_json_at *at,
                             struct mf_entity *row)
{
    uint64_t max = r->api->conf->limits_metadata_bytes;
    yyjson_val *permissions;

    if (!mf_json_object(at, "permissions", &permissions)) {
        return;
    }
    if (mf_json_compact(permissions, &r->http->arena, &row->text) < 0) {
        r->faults.code = MF_ENOMEM;
        return;
    }
    row->has_text = true;
    if (row->text.n > max) {
        (void)mf_json_fault(at, "permissions", MF_EUNPROCESSABLE, "too_long",
                            "%zu bytes; at most %llu (limits.metadata_bytes)",
                            row->text.n, (unsigned long long)max);
    }
}

static void take_expiry(const struct mf_json_at *at, struct mf_entity *row)
{
    struct mf_slice text;

    if (!mf_json_text(at, "expires_at", MF_JSON_OPTIONAL, &text)) {
        return;
    }
    if (mf_iso8601_parse(text, &row->expires_us) < 0) {
        (void)mf_json_fault(at, "expires_at", MF_EUNPROCESSABLE, "datetime_parsing",
                            "Input should be a time as ISO 8601 has it, such as "
                            "2030-01-31T12:00:00Z");
    } else if (row->expires_us <= mf_wallclock_us()) {
        (void)mf_json_fault(at, "expires_at", MF_EUNPROCESSABLE, "datetime_past",
                            "the time is over: a key must expire in the future");
    }
}

MF_LOOP static void take_new(struct mf_api_req *r, const struct mf_json_at *at)
{
    struct mf_entity *row = (struct mf_entity *)(uintptr_t)r->u.entity.ins;
    uint64_t max = r->api->conf->limits_name_bytes;
    struct mf_slice key;

    if (mf_json_text(at, "name", MF_JSON_OPTIONAL, &row->name) && row->name.n > max) {
        (void)mf_json_fault(at, "name", MF_EUNPROCESSABLE, "string_too_long",
                            "%zu bytes; a name has at most %llu (limits.name_bytes)",
                            row->name.n, (unsigned long long)max);
    }
    if (mf_json_text(at, "key", MF_JSON_OPTIONAL, &key)) {
        (void)mf_json_fault(at, "key", MF_EUNPROCESSABLE, "value_error",
                            "keys are made here: leave this field out");
    }
    take_permissions(r, at, row);
    take_expiry(at, row);
}

MF_LOOP static int make_key(struct mf_api_req *r, struct mf_entity *row)
{
    char *key = mf_arena_alloc(&r->http->arena, MF_KEY_LEN + 1);
    char *id_text, *hash = mf_arena_alloc(&r->http->arena, MF_AUTH_HASH);
    uint8_t random[32];
    struct mf_id id;

    mf_id_new_v4(&id);
    id_text = mf_arena_strndup(&r->http->arena, id.s, id.n);
    if (key == NULL || hash == NULL || id_text == NULL) {
        return MF_ENOMEM;
    }
    mf_random(random, sizeof(random));
    mf_auth_make_key(&id, random, key);
    OPENSSL_cleanse(random, sizeof(random));
    row->id = mf_slice_of(id_text, id.n);
    row->key_hash = mf_slice_of(hash, MF_AUTH_HASH);
    r->secret = mf_slice_of(key, MF_KEY_LEN);
    return mf_auth_hash(r->api->auth, r->secret, (uint8_t *)hash);
}

int mf_handle_keys_create(struct mf_api_req *r)
{
    struct mf_entity *row = mf_arena_alloc(&r->http->arena, sizeof(*row));
    int rc;

    if (row == NULL) {
        return MF_ENOMEM;
    }
    memset(row, 0, sizeof(*row));
    row->user_id = r->ids[0];
    prepare(r, format_created);
    r->u.entity.ins = row;
    r->u.entity.n_ins = 1;
    rc = r->http->body.n == 0 ? 0 : mf_api_body(r, take_new);
    if (rc == 0) {
        rc = make_key(r, row);
    }
    if (rc < 0) {
        return rc;
    }
    r->u.entity.format = write_record;
    mf_api_idem_fill(r, &r->u.entity.idem_key, r->u.entity.idem_hash);
    return mf_engine_entity_create(r->api->engine, &r->u.entity);
}

/* ---- delete ---- */

MF_LOOP static void format_deleted(struct mf_api_req *r)
{
    struct mf_buf *out;

    mf_auth_forget(r->api->auth);
    out = mf_api_begin(r, 200);
    mf_buf_add_str(out, "{\"key_id\":");
    mf_json_put_text(out, r->ids[1]);
    mf_buf_add_char(out, '}');
    mf_api_finish(r, 200, "API key deleted successfully");
}

int mf_handle_keys_delete(struct mf_api_req *r)
{
    prepare(r, format_deleted);
    r->u.entity.in.id = r->ids[1];
    return mf_engine_entity_delete(r->api->engine, &r->u.entity);
}
