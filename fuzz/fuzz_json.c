/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a body: read or refused with a reason; what was read comes out again as
 * JSON that reads to the same, typed getters look at every field, and the error answer
 * is JSON too.
 */
#include "api/envelope.h"
#include "api/json_in.h"
#include "api/json_out.h"

#include <stdlib.h>

#define CHECK(cond) ((cond) ? (void)0 : abort())
#define MAX_DEPTH   16U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_is_json(struct mf_slice text)
{
    yyjson_doc *doc = yyjson_read(text.p, text.n, YYJSON_READ_NUMBER_AS_RAW);

    CHECK(doc != NULL);
    yyjson_doc_free(doc);
}

static void look_at_fields(struct mf_faults *f, yyjson_val *root)
{
    static const char *const keys[] = {"a", "name", "messages", "top_k"};
    struct mf_json_at at = {.faults = f, .obj = root};

    for (size_t i = 0; i < mf_countof(keys); i++) {
        struct mf_slice s, *texts;
        yyjson_val *v;
        int64_t whole;
        double real;
        size_t n;
        bool b;

        if (mf_json_text(&at, keys[i], MF_JSON_REQUIRED, &s)) {
            CHECK(s.n == 0 || memchr(s.p, '\0', s.n) == NULL);
        }
        (void)mf_json_object(&at, keys[i], &v);
        (void)mf_json_list(&at, keys[i], MF_JSON_OPTIONAL, &v);
        (void)mf_json_bool(&at, keys[i], &b);
        (void)mf_json_int(&at, keys[i], &whole);
        (void)mf_json_real(&at, keys[i], &real);
        (void)mf_json_texts(&at, keys[i], 4, "limits.x", &texts, &n);
    }
}

/* mf_json_has_key is asked for plain names only. */
static bool needs_escape(const char *name)
{
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name < ' ' || *name == '"' || *name == '\\') {
            return true;
        }
    }
    return false;
}

static void check_keys(yyjson_val *root, struct mf_slice compact)
{
    yyjson_obj_iter it;
    yyjson_val *key;

    (void)yyjson_obj_iter_init(root, &it);
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        const char *name = yyjson_get_str(key);

        CHECK(needs_escape(name) || mf_json_has_key(compact, name));
    }
}

static void check_read(struct mf_json *j, yyjson_val *root, struct mf_faults *f)
{
    struct mf_slice once, twice;

    CHECK(mf_json_compact(root, f->arena, &once) == 0);
    if (yyjson_is_obj(root)) {
        look_at_fields(f, root);
        check_keys(root, once);
    }
    mf_json_close(j);
    CHECK(mf_json_open(j, once, f, &root) == 0);
    CHECK(mf_json_compact(root, f->arena, &twice) == 0);
    CHECK(mf_slice_eq(once, twice));
    mf_json_close(j);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct mf_slice body = mf_slice_of((const char *)data, n);
    static struct mf_json j;
    struct mf_arena arena;
    struct mf_faults f = {.arena = &arena};
    yyjson_val *root;
    struct mf_buf out;
    int rc;

    if (j.pool == NULL) {
        CHECK(mf_json_init(&j, MAX_DEPTH) == 0);
    }
    mf_arena_init(&arena, 512);
    mf_buf_init(&out);
    rc = mf_json_open(&j, body, &f, &root);
    CHECK(rc == f.code && (rc == 0) == (f.n == 0));
    if (rc == 0) {
        check_read(&j, root, &f);
    }
    if (f.n > 0) {
        mf_envelope_faults(&out, 422, &f);
        check_is_json(mf_slice_of(out.p, out.n));
    }
    mf_buf_reset(&out);
    mf_json_put_text(&out, body);
    check_is_json(mf_slice_of(out.p, out.n));
    mf_buf_fini(&out);
    mf_arena_fini(&arena);
    return 0;
}
