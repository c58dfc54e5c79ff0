/* SPDX-License-Identifier: Apache-2.0 */
#include "api/message_in.h"

#include "base/wallclock.h"

#include <stdlib.h>

static void take_role(const struct mf_json_at *at, bool is_lenient, struct mf_msg *m)
{
    struct mf_slice role;
    int rc;

    if (!mf_json_text(at, "role", MF_JSON_REQUIRED, &role)) {
        return;
    }
    rc = mf_msg_role_parse(role, &m->role);
    if (is_lenient && mf_slice_is(role, "developer")) {
        m->role = MF_MSG_SYSTEM;
        return;
    }
    if (rc < 0 || (m->role == MF_MSG_TOOL && !is_lenient)) {
        (void)mf_json_fault(at, "role", MF_EUNPROCESSABLE, "literal_error",
                            is_lenient ? "Input should be 'user', 'assistant', "
                                         "'system', 'developer' or 'tool'"
                                       : "Input should be 'user', 'assistant' or "
                                         "'system'");
    }
}

/* ---- content ---- */

static bool part_text(yyjson_val *part, struct mf_slice *text)
{
    yyjson_val *type = yyjson_obj_get(part, "type");
    yyjson_val *v = yyjson_is_str(part) ? part : yyjson_obj_get(part, "text");

    if (!yyjson_is_str(v) || (type != NULL && !yyjson_equals_str(type, "text"))) {
        return false;
    }
    *text = mf_json_slice(v);
    return true;
}

/* Text parts, one below the other. */
static bool join_parts(const struct mf_json_at *at, yyjson_val *parts,
                       struct mf_slice *out)
{
    yyjson_val *part;
    struct mf_slice text;
    yyjson_arr_iter it;
    size_t cap = 1;
    char *to;

    (void)yyjson_arr_iter_init(parts, &it);
    while ((part = yyjson_arr_iter_next(&it)) != NULL) {
        if (!part_text(part, &text)) {
            (void)mf_json_fault(at, "content", MF_EUNPROCESSABLE, "value_error",
                                "part %zu of the content is no text", it.idx - 1);
            return false;
        }
        cap += text.n + 1;
    }
    to = mf_arena_alloc(at->faults->arena, cap);
    if (to == NULL) {
        at->faults->code = MF_ENOMEM;
        return false;
    }
    *out = mf_slice_of(to, 0);
    (void)yyjson_arr_iter_init(parts, &it);
    while ((part = yyjson_arr_iter_next(&it)) != NULL && part_text(part, &text)) {
        if (out->n > 0) {
            to[out->n++] = '\n';
        }
        memcpy(to + out->n, text.p, text.n);
        out->n += text.n;
    }
    return true;
}

static void take_content(const struct mf_json_at *at, const struct mf_conf *conf,
                         struct mf_msg *m)
{
    yyjson_val *v = yyjson_obj_get(at->obj, "content");
    bool has_it;

    if (conf->server_lenient_messages && yyjson_is_arr(v)) {
        has_it = join_parts(at, v, &m->content);
    } else {
        has_it = mf_json_text(at, "content", MF_JSON_REQUIRED, &m->content);
    }
    if (!has_it) {
        return;
    }
    if (m->content.n == 0) {
        (void)mf_json_fault(at, "content", MF_EUNPROCESSABLE, "string_too_short",
                            "String should have at least 1 character");
    } else if (m->content.n > conf->limits_message_bytes) {
        (void)mf_json_fault(at, "content", MF_ETOOBIG, "string_too_long",
                            "%zu bytes; a message has at most %llu "
                            "(limits.message_bytes): split it",
                            m->content.n,
                            (unsigned long long)conf->limits_message_bytes);
    }
}

/* ---- metadata ---- */

static void take_time(const struct mf_json_at *at, yyjson_val *metadata,
                      struct mf_msg *m)
{
    yyjson_val *v = yyjson_obj_get(metadata, "timestamp");

    if (v == NULL || yyjson_is_null(v)) {
        return;
    }
    if (!yyjson_is_str(v) || mf_iso8601_parse(mf_json_slice(v), &m->created_us) < 0) {
        (void)mf_json_fault(at, "metadata.timestamp", MF_EUNPROCESSABLE,
                            "datetime_parsing",
                            "Input should be a time as ISO 8601 has it, such as "
                            "2023-05-08T13:56:00");
    }
}

static void take_metadata(const struct mf_json_at *at, const struct mf_conf *conf,
                          struct mf_msg *m)
{
    yyjson_val *metadata;

    if (!mf_json_object(at, "metadata", &metadata)) {
        return;
    }
    take_time(at, metadata, m);
    if (mf_json_compact(metadata, at->faults->arena, &m->metadata) < 0) {
        at->faults->code = MF_ENOMEM;
    } else if (m->metadata.n > conf->limits_metadata_bytes) {
        (void)mf_json_fault(at, "metadata", MF_EUNPROCESSABLE, "too_long",
                            "%zu bytes; the metadata of a message has at most %llu "
                            "(limits.metadata_bytes)",
                            m->metadata.n,
                            (unsigned long long)conf->limits_metadata_bytes);
    }
}

/* ---- ids of the client ---- */

static void take_id(const struct mf_json_at *at, struct mf_msg *m)
{
    if (mf_json_text(at, "id", MF_JSON_OPTIONAL, &m->id) && !mf_id_is_valid(m->id)) {
        (void)mf_json_fault(at, "id", MF_EUNPROCESSABLE, "value_error",
                            "an id has 1 to 64 characters of A-Z a-z 0-9 . _ : -");
    }
}

static int by_id(const void *a, const void *b)
{
    const struct mf_slice *x = &(*(const struct mf_msg *const *)a)->id;
    const struct mf_slice *y = &(*(const struct mf_msg *const *)b)->id;
    int d = memcmp(x->p, y->p, mf_min(x->n, y->n));

    return d != 0 ? d : x->n < y->n ? -1 : x->n > y->n;
}

/* One id for two messages would lose one of them. */
static void check_twins(const struct mf_json_at *each, const struct mf_msg *msgs,
                        size_t n)
{
    const struct mf_msg **with_id = (const struct mf_msg **)mf_arena_alloc(
        each->faults->arena, n * sizeof(const struct mf_msg *));
    struct mf_json_at at = *each;
    size_t n_with = 0;

    if (with_id == NULL) {
        each->faults->code = MF_ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (msgs[i].id.n > 0) {
            with_id[n_with++] = &msgs[i];
        }
    }
    if (n_with > 1) {
        qsort((void *)with_id, n_with, sizeof(const struct mf_msg *), by_id);
    }
    for (size_t i = 1; i < n_with; i++) {
        if (mf_slice_eq(with_id[i]->id, with_id[i - 1]->id)) {
            at.i = (size_t)(mf_max(with_id[i], with_id[i - 1]) - msgs);
            (void)mf_json_fault(&at, "id", MF_EUNPROCESSABLE, "value_error",
                                "another message of this request has the same id");
        }
    }
}

/* ---- all ---- */

static void take_one(const struct mf_json_at *at, const struct mf_conf *conf,
                     struct mf_msg *m)
{
    memset(m, 0, sizeof(*m));
    if (!yyjson_is_obj(at->obj)) {
        (void)mf_json_fault(at, NULL, MF_EUNPROCESSABLE, "dict_type",
                            "Input should be an object");
        return;
    }
    take_role(at, conf->server_lenient_messages, m);
    take_content(at, conf, m);
    take_metadata(at, conf, m);
    take_id(at, m);
}

const struct mf_msg *mf_messages_take(const struct mf_conf *conf,
                                      const struct mf_json_at *at, const char *name,
                                      uint64_t max, size_t *n)
{
    struct mf_json_at each = {.faults = at->faults, .list = name};
    yyjson_val *list;
    struct mf_msg *msgs;
    yyjson_arr_iter it;
    bool has_ids = false;

    *n = 0;
    if (!mf_json_list(at, name, MF_JSON_REQUIRED, &list)) {
        return NULL;
    }
    if (yyjson_arr_size(list) > max) {
        (void)mf_json_fault(at, name, MF_EUNPROCESSABLE, "too_long",
                            "%zu messages; a request has at most %llu "
                            "(limits.messages_per_add): split it",
                            yyjson_arr_size(list), (unsigned long long)max);
        return NULL;
    }
    msgs =
        mf_arena_alloc(at->faults->arena, (yyjson_arr_size(list) + 1) * sizeof(*msgs));
    if (msgs == NULL) {
        at->faults->code = MF_ENOMEM;
        return NULL;
    }
    (void)yyjson_arr_iter_init(list, &it);
    for (; (each.obj = yyjson_arr_iter_next(&it)) != NULL; each.i++) {
        take_one(&each, conf, &msgs[each.i]);
        has_ids = has_ids || msgs[each.i].id.n > 0;
    }
    *n = each.i;
    if (has_ids) {
        check_twins(&each, msgs, each.i);
    }
    return msgs;
}

void mf_name_check(const struct mf_conf *conf, const struct mf_json_at *at,
                   const char *key, struct mf_slice name)
{
    uint64_t max = conf->limits_name_bytes;

    if (name.n == 0) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, "string_too_short",
                            "String should have at least 1 character");
    } else if (name.n > max) {
        (void)mf_json_fault(at, key, MF_EUNPROCESSABLE, "string_too_long",
                            "%zu bytes; a name has at most %llu (limits.name_bytes)",
                            name.n, (unsigned long long)max);
    }
}
