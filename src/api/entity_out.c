/* SPDX-License-Identifier: Apache-2.0 */
#include "api/entity_out.h"

#include "api/json_in.h"
#include "api/json_out.h"

static void put_times(struct mf_buf *b, int64_t created_us, int64_t updated_us)
{
    MF_JSON_PUT(b, ",\"created_at\":");
    mf_json_put_time(b, created_us);
    MF_JSON_PUT(b, ",\"updated_at\":");
    mf_json_put_time(b, updated_us);
}

static void put_field(struct mf_buf *b, const char *name, struct mf_slice value)
{
    MF_JSON_PUT(b, ",\"");
    mf_buf_add_str(b, name);
    MF_JSON_PUT(b, "\":");
    mf_json_put_text(b, value);
}

/* The key itself is known to its owner only; its first part is the row's id. */
static void put_key(struct mf_buf *b, const struct mf_entity *row,
                    struct mf_slice secret)
{
    put_field(b, "user_id", row->user_id);
    MF_JSON_PUT(b, ",\"name\":");
    mf_json_put_text_or_null(b, row->name);
    MF_JSON_PUT(b, ",\"key\":");
    if (secret.n > 0) {
        mf_json_put_text(b, secret);
    } else {
        MF_JSON_PUT(b, "\"mf_");
        mf_buf_add(b, row->id.p, mf_min(row->id.n, (size_t)8));
        MF_JSON_PUT(b, "_********\"");
    }
    MF_JSON_PUT(b, ",\"permissions\":");
    mf_buf_add_slice(b, row->has_text ? row->text : MF_SLICE("null"));
    MF_JSON_PUT(b, ",\"created_at\":");
    mf_json_put_time(b, row->created_us);
    MF_JSON_PUT(b, ",\"expires_at\":");
    if (row->expires_us != 0) {
        mf_json_put_time(b, row->expires_us);
    } else {
        MF_JSON_PUT(b, "null");
    }
}

void mf_entity_put(struct mf_buf *b, enum mf_entity_kind kind,
                   const struct mf_entity *row, struct mf_slice secret)
{
    MF_JSON_PUT(b, "{\"id\":");
    mf_json_put_text(b, row->id);
    switch (kind) {
    case MF_ENTITY_USER:
    case MF_ENTITY_AGENT:
        put_field(b, "name", row->name);
        MF_JSON_PUT(b, ",\"description\":");
        if (row->has_text) {
            mf_json_put_text(b, row->text);
        } else {
            MF_JSON_PUT(b, "null");
        }
        put_times(b, row->created_us, row->updated_us);
        break;
    case MF_ENTITY_SESSION:
        put_field(b, "user_id", row->user_id);
        put_field(b, "agent_id", row->agent_id);
        put_field(b, "name", row->name);
        put_times(b, row->created_us, row->updated_us);
        break;
    case MF_ENTITY_KNOWLEDGE:
        put_field(b, "user_id", row->user_id);
        put_field(b, "content", row->text);
        put_times(b, row->created_us, row->updated_us);
        break;
    case MF_ENTITY_API_KEY: put_key(b, row, secret); break;
    }
    mf_buf_add_char(b, '}');
}

void mf_entity_put_list(struct mf_buf *b, enum mf_entity_kind kind,
                        const struct mf_entity *rows, size_t n)
{
    mf_buf_add_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, i == 0 ? "" : ",");
        mf_entity_put(b, kind, &rows[i], mf_slice_of(NULL, 0));
    }
    mf_buf_add_char(b, ']');
}

void mf_entity_put_ids(struct mf_buf *b, const char *name, const struct mf_entity *rows,
                       size_t n)
{
    MF_JSON_PUT(b, "{\"");
    mf_buf_add_str(b, name);
    MF_JSON_PUT(b, "\":[");
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, i == 0 ? "" : ",");
        mf_json_put_text(b, rows[i].id);
    }
    MF_JSON_PUT(b, "]}");
}

void mf_slices_put(struct mf_buf *b, const struct mf_slice *s, size_t n)
{
    mf_buf_add_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        mf_buf_add_str(b, i == 0 ? "" : ",");
        mf_json_put_text(b, s[i]);
    }
    mf_buf_add_char(b, ']');
}

/* The client's object as it is; ours beside it where the client has none. */
static void put_metadata(struct mf_buf *b, const struct mf_listed *m)
{
    struct mf_slice own =
        m->metadata.n >= 2 ? mf_slice_of(m->metadata.p, m->metadata.n) : MF_SLICE("{}");

    const struct {
        const char *name;
        struct mf_slice value;
    } ours[] = {{"source", mf_slice_str(m->source)},
                {"user_id", m->user_id},
                {"session_id", m->session_id}};

    bool is_first = own.n == 2;

    mf_buf_add(b, own.p, own.n - 1);
    for (size_t i = 0; i < mf_countof(ours); i++) {
        if (mf_json_has_key(own, ours[i].name)) {
            continue;
        }
        mf_buf_addf(b, "%s\"%s\":", is_first ? "" : ",", ours[i].name);
        mf_json_put_text(b, ours[i].value);
        is_first = false;
    }
    mf_buf_add_char(b, '}');
}

void mf_listed_put(struct mf_buf *b, const struct mf_listed *m)
{
    MF_JSON_PUT(b, "{\"id\":");
    mf_json_put_text(b, m->id);
    put_field(b, "session_id", m->session_id);
    put_field(b, "role", mf_slice_str(mf_msg_role_name(m->role)));
    put_field(b, "content", m->content);
    put_times(b, m->created_us, m->updated_us);
    MF_JSON_PUT(b, ",\"metadata\":");
    put_metadata(b, m);
    mf_buf_add_char(b, '}');
}
