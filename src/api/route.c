/* SPDX-License-Identifier: Apache-2.0 */
#include "api/route.h"

#include "api/handlers.h"

/* clang-format off */
static const struct mf_route routes[] = {
    {MF_HTTP_GET, {"health"}, mf_handle_health, 0, MF_ROUTE_OPEN},
    {MF_HTTP_POST, {"sessions", "*", "messages"}, mf_handle_messages_add, MF_ENTITY_SESSION, MF_ROUTE_CREATES},
    {MF_HTTP_GET, {"sessions", "*", "messages"}, mf_handle_messages_list, MF_ENTITY_SESSION, 0},
    {MF_HTTP_PUT, {"sessions", "*", "messages"}, mf_handle_messages_update, MF_ENTITY_SESSION, 0},
    {MF_HTTP_DELETE, {"sessions", "*", "messages"}, mf_handle_messages_delete, MF_ENTITY_SESSION, 0},
    {MF_HTTP_POST, {"sessions", "*", "messages", "read"}, mf_handle_messages_read, MF_ENTITY_SESSION, 0},
    {MF_HTTP_POST, {"users", "*", "query"}, mf_handle_query, MF_ENTITY_USER, 0},
    {MF_HTTP_GET, {"users"}, mf_handle_entity_list, MF_ENTITY_USER, 0},
    {MF_HTTP_POST, {"users"}, mf_handle_entity_create, MF_ENTITY_USER, MF_ROUTE_CREATES},
    {MF_HTTP_GET, {"users", "*"}, mf_handle_entity_get, MF_ENTITY_USER, 0},
    {MF_HTTP_PUT, {"users", "*"}, mf_handle_entity_update, MF_ENTITY_USER, 0},
    {MF_HTTP_DELETE, {"users", "*"}, mf_handle_entity_delete, MF_ENTITY_USER, 0},
    {MF_HTTP_GET, {"agents"}, mf_handle_entity_list, MF_ENTITY_AGENT, 0},
    {MF_HTTP_POST, {"agents"}, mf_handle_entity_create, MF_ENTITY_AGENT, MF_ROUTE_CREATES},
    {MF_HTTP_GET, {"agents", "*"}, mf_handle_entity_get, MF_ENTITY_AGENT, 0},
    {MF_HTTP_PUT, {"agents", "*"}, mf_handle_entity_update, MF_ENTITY_AGENT, 0},
    {MF_HTTP_DELETE, {"agents", "*"}, mf_handle_entity_delete, MF_ENTITY_AGENT, 0},
    {MF_HTTP_GET, {"sessions"}, mf_handle_entity_list, MF_ENTITY_SESSION, 0},
    {MF_HTTP_POST, {"sessions"}, mf_handle_entity_create, MF_ENTITY_SESSION, MF_ROUTE_CREATES},
    {MF_HTTP_GET, {"sessions", "*"}, mf_handle_entity_get, MF_ENTITY_SESSION, 0},
    {MF_HTTP_PUT, {"sessions", "*"}, mf_handle_entity_update, MF_ENTITY_SESSION, 0},
    {MF_HTTP_DELETE, {"sessions", "*"}, mf_handle_entity_delete, MF_ENTITY_SESSION, 0},
    {MF_HTTP_GET, {"users", "*", "knowledge"}, mf_handle_knowledge_list, MF_ENTITY_USER, 0},
    {MF_HTTP_POST, {"users", "*", "knowledge"}, mf_handle_knowledge_add, MF_ENTITY_USER, MF_ROUTE_CREATES},
    {MF_HTTP_PUT, {"users", "*", "knowledge"}, mf_handle_knowledge_update, MF_ENTITY_USER, 0},
    {MF_HTTP_DELETE, {"users", "*", "knowledge"}, mf_handle_knowledge_delete, MF_ENTITY_USER, 0},
    {MF_HTTP_POST, {"users", "*", "knowledge", "read"}, mf_handle_knowledge_read, MF_ENTITY_USER, 0},
    {MF_HTTP_GET, {"users", "*", "api-keys"}, mf_handle_keys_list, MF_ENTITY_USER, 0},
    {MF_HTTP_POST, {"users", "*", "api-keys"}, mf_handle_keys_create, MF_ENTITY_USER, MF_ROUTE_CREATES},
    {MF_HTTP_DELETE, {"users", "*", "api-keys", "*"}, mf_handle_keys_delete, MF_ENTITY_USER, 0},
    {MF_HTTP_GET, {"buffer", "stats"}, mf_handle_buffer_stats, 0, MF_ROUTE_ADMIN},
    {MF_HTTP_POST, {"buffer", "flush"}, mf_handle_buffer_flush, 0, MF_ROUTE_ADMIN},
    {MF_HTTP_POST, {"buffer", "requeue"}, mf_handle_buffer_requeue, 0, MF_ROUTE_ADMIN},
    {MF_HTTP_GET, {"embed", "stats"}, mf_handle_embed_stats, 0, MF_ROUTE_ADMIN},
    {MF_HTTP_POST, {"embed", "stats", "reset"}, mf_handle_embed_reset, 0, MF_ROUTE_ADMIN},
    {MF_HTTP_POST, {"embed", "cache", "clear"}, mf_handle_embed_clear, 0, MF_ROUTE_ADMIN},
};

/* clang-format on */

const struct mf_route *mf_route_at(size_t i)
{
    return i < mf_countof(routes) ? &routes[i] : NULL;
}

struct parts {
    struct mf_slice part[MF_ROUTE_SEGMENTS];
    size_t n;
};

static int add_part(struct mf_arena *a, struct mf_slice raw, struct parts *out)
{
    struct mf_slice *part = &out->part[out->n];

    if (raw.n == 0 || out->n == MF_ROUTE_SEGMENTS) {
        return MF_ENOTFOUND;
    }
    *part = raw;
    out->n++;
    if (memchr(raw.p, '%', raw.n) != NULL) {
        int rc = mf_http_decode(a, raw, false, part);

        return rc == MF_EINVAL ? MF_ENOTFOUND : rc;
    }
    return 0;
}

/* Where the parts begin, or NULL. */
static const char *behind_prefix(struct mf_slice path, enum mf_family family)
{
    static const char prefix[] = "/api/v1/";
    size_t n = sizeof(prefix) - 1;

    if (family != MF_FAMILY_NATIVE) {
        return path.p + 1;
    }
    return path.n > n && memcmp(path.p, prefix, n) == 0 ? path.p + n : NULL;
}

static int split(struct mf_arena *a, struct mf_slice path, enum mf_family family,
                 struct parts *out)
{
    const char *at = behind_prefix(path, family), *end = path.p + path.n;

    out->n = 0;
    if (at == NULL) {
        return MF_ENOTFOUND;
    }
    if (at == end) { /* the root */
        return 0;
    }
    end -= end[-1] == '/';
    while (at <= end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash == NULL ? end : slash;
        int rc = add_part(a, mf_slice_of(at, (size_t)(stop - at)), out);

        if (rc < 0) {
            return rc;
        }
        at = stop + 1;
    }
    return 0;
}

static bool fits(const struct mf_route *r, const struct parts *p,
                 struct mf_slice ids[MF_ROUTE_IDS])
{
    size_t n_ids = 0;

    for (size_t i = 0; i < p->n; i++) {
        const char *want = r->segments[i];

        if (want == NULL) {
            return false;
        }
        if (want[0] == '*') {
            ids[n_ids++] = p->part[i];
        } else if (!mf_slice_is(p->part[i], want)) {
            return false;
        }
    }
    return p->n == MF_ROUTE_SEGMENTS || r->segments[p->n] == NULL;
}

static struct mf_route_table table_of(enum mf_family family)
{
    return family == MF_FAMILY_OPENAI ? mf_routes_openai()
           : family == MF_FAMILY_TEI
               ? mf_routes_tei()
               : (struct mf_route_table){routes, mf_countof(routes)};
}

int mf_route_find(struct mf_arena *a, enum mf_http_method method, struct mf_slice path,
                  struct mf_route_match *out)
{
    enum mf_http_method want = method == MF_HTTP_HEAD ? MF_HTTP_GET : method;
    enum mf_family family = mf_family_of(path);
    struct mf_route_table table = table_of(family);
    struct parts parts;
    int rc = split(a, path, family, &parts);

    memset(out, 0, sizeof(*out));
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < table.n; i++) {
        if (!fits(&table.rows[i], &parts, out->ids)) {
            continue;
        }
        if (table.rows[i].method == want) {
            out->route = &table.rows[i];
            return 0;
        }
        out->methods |= 1U << table.rows[i].method;
    }
    return out->methods == 0 ? MF_ENOTFOUND : MF_EINVAL;
}

void mf_route_allow(unsigned methods, struct mf_buf *out)
{
    static const char *const names[MF_HTTP_METHOD_COUNT] = {
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    const char *comma = "Allow: ";

    if ((methods & 1U << MF_HTTP_GET) != 0) {
        methods |= 1U << MF_HTTP_HEAD;
    }
    for (unsigned m = 0; m < MF_HTTP_METHOD_COUNT; m++) {
        if ((methods & 1U << m) != 0) {
            mf_buf_add_str(out, comma);
            mf_buf_add_str(out, names[m]);
            comma = ", ";
        }
    }
    mf_buf_add_str(out, "\r\n");
}
