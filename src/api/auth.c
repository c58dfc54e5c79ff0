/* SPDX-License-Identifier: Apache-2.0 */
#include "api/auth.h"

#include "api/api_priv.h"
#include "base/log.h"
#include "base/map.h"
#include "base/wallclock.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

struct mf_auth {
    bool is_on, has_admin;
    const char *header; /* the configuration's */
    EVP_MD *sha256;
    EVP_MD_CTX *ctx;
    uint8_t admin_hash[MF_AUTH_HASH];
    struct mf_map by_hash;
    struct mf_list oldest_first;
    uint64_t generation; /* grows with each mf_auth_forget */
};

struct known {
    struct mf_map_node node;
    struct mf_link link;
    uint8_t hash[MF_AUTH_HASH];
    struct mf_id user_id;
    int64_t expires_us;
    uint64_t loaded_ms;
};

/* A key being asked for in the store. */
struct look_up {
    struct mf_entity_call call;
    struct mf_api_req *r;
    uint8_t hash[MF_AUTH_HASH];
    uint64_t generation;
};

static const struct mf_scope admin_scope = {.is_admin = true};

static struct mf_slice hash_of(const struct mf_map_node *node)
{
    const struct known *k = mf_container_of(node, struct known, node);

    return mf_slice_of((const char *)k->hash, sizeof(k->hash));
}

/* ---- open, close ---- */

static int read_all(int fd, const char *path, char out[MF_AUTH_MAX_KEY + 3],
                    struct mf_err *err)
{
    struct stat st;
    ssize_t n;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return mf_err_set(err, MF_EINVAL, "server.admin_key_file: %s is no plain file",
                          path);
    }
    if ((st.st_mode & 077) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "server.admin_key_file: others may read %s: chmod 600", path);
    }
    n = read(fd, out, MF_AUTH_MAX_KEY + 2);
    if (n < 0) {
        return mf_err_set(err, MF_EIO, "server.admin_key_file: %s: %s", path,
                          strerror(errno));
    }
    return (int)n;
}

static bool is_printable(struct mf_slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f) {
            return false;
        }
    }
    return true;
}

int mf_auth_read_key_file(const char *path, char out[MF_AUTH_MAX_KEY + 1],
                          struct mf_err *err)
{
    char text[MF_AUTH_MAX_KEY + 3];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct mf_slice key;
    int n;

    if (fd < 0) {
        return mf_err_set(err, MF_EIO, "server.admin_key_file: %s: %s", path,
                          strerror(errno));
    }
    n = read_all(fd, path, text, err);
    (void)close(fd);
    if (n < 0) {
        return n;
    }
    key = mf_slice_trim(mf_slice_of(text, (size_t)n));
    if (key.n < MF_AUTH_MIN_KEY || key.n > MF_AUTH_MAX_KEY || !is_printable(key)) {
        OPENSSL_cleanse(text, sizeof(text));
        return mf_err_set(err, MF_EINVAL,
                          "server.admin_key_file: %s must hold one key of %u to %u "
                          "printable characters",
                          path, MF_AUTH_MIN_KEY, MF_AUTH_MAX_KEY);
    }
    memcpy(out, key.p, key.n);
    out[key.n] = '\0';
    OPENSSL_cleanse(text, sizeof(text));
    return 0;
}

MF_LOOP static int read_admin_key(struct mf_auth *a, const char *path,
                                  struct mf_err *err)
{
    char key[MF_AUTH_MAX_KEY + 1];
    int rc = mf_auth_read_key_file(path, key, err);

    if (rc < 0) {
        return rc;
    }
    rc = mf_auth_hash(a, mf_slice_str(key), a->admin_hash);
    OPENSSL_cleanse(key, sizeof(key));
    a->has_admin = rc == 0;
    return rc == 0 ? 0 : mf_err_set(err, rc, "no memory for the administrator's key");
}

int mf_auth_open(struct mf_auth **out, const struct mf_conf *conf, struct mf_err *err)
{
    struct mf_auth *a = mf_calloc(1, sizeof(*a));
    int rc = 0;

    if (a == NULL) {
        return mf_err_set(err, MF_ENOMEM, "no memory for the API keys");
    }
    a->is_on = conf->server_api_key_validation;
    a->header = conf->server_api_key_header;
    mf_map_init(&a->by_hash, hash_of);
    mf_list_init(&a->oldest_first);
    a->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    a->ctx = EVP_MD_CTX_new();
    if (a->sha256 == NULL || a->ctx == NULL) {
        rc = mf_err_set(err, MF_ENOMEM, "OpenSSL gives no SHA-256");
    } else if (a->is_on && conf->server_admin_key_file[0] != '\0') {
        rc = read_admin_key(a, conf->server_admin_key_file, err);
    }
    if (rc < 0) {
        mf_auth_close(a);
        return rc;
    }
    if (a->is_on && !a->has_admin) {
        mf_log_warn("no_admin_key", "hint=\"set server.admin_key_file to make keys\"");
    }
    *out = a;
    return 0;
}

MF_LOOP static void forget_one(struct mf_auth *a, struct known *k)
{
    mf_map_remove(&a->by_hash, &k->node);
    mf_list_remove(&a->oldest_first, &k->link);
    mf_free(k);
}

void mf_auth_forget(struct mf_auth *a)
{
    a->generation++;
    while (!mf_list_is_empty(&a->oldest_first)) {
        forget_one(a,
                   mf_container_of(mf_list_head(&a->oldest_first), struct known, link));
    }
}

void mf_auth_close(struct mf_auth *a)
{
    if (a == NULL) {
        return;
    }
    mf_auth_forget(a);
    mf_map_fini(&a->by_hash);
    EVP_MD_CTX_free(a->ctx);
    EVP_MD_free(a->sha256);
    OPENSSL_cleanse(a->admin_hash, sizeof(a->admin_hash));
    mf_free(a);
}

int mf_auth_hash(struct mf_auth *a, struct mf_slice text, uint8_t hash[MF_AUTH_HASH])
{
    unsigned n = MF_AUTH_HASH;

    return EVP_DigestInit_ex2(a->ctx, a->sha256, NULL) == 1 &&
                   EVP_DigestUpdate(a->ctx, text.p, text.n) == 1 &&
                   EVP_DigestFinal_ex(a->ctx, hash, &n) == 1
               ? 0
               : MF_ENOMEM;
}

/* ---- keys ---- */

void mf_auth_make_key(const struct mf_id *id, const uint8_t random[32],
                      char key[MF_KEY_LEN + 1])
{
    static const char digits[] =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t number[32];
    char *at = key + MF_KEY_LEN;

    memcpy(number, random, sizeof(number));
    *at = '\0';
    for (unsigned i = 0; i < MF_KEY_SECRET; i++) { /* 62^43 > 2^256 */
        unsigned rest = 0;

        for (size_t k = 0; k < sizeof(number); k++) {
            unsigned v = rest << 8 | number[k];

            number[k] = (uint8_t)(v / 62);
            rest = v % 62;
        }
        *--at = digits[rest];
    }
    key[0] = 'm';
    key[1] = 'f';
    key[2] = key[11] = '_';
    memcpy(key + 3, id->s, 8);
    OPENSSL_cleanse(number, sizeof(number));
}

int mf_auth_bearer(struct mf_slice header, struct mf_slice *key)
{
    static const char word[] = "Bearer ";
    size_t n = sizeof(word) - 1;

    if (header.n <= n || !mf_slice_is_nocase(mf_slice_of(header.p, n), word)) {
        return MF_EINVAL;
    }
    *key = mf_slice_trim(mf_slice_of(header.p + n, header.n - n));
    return key->n == 0 || key->n > MF_AUTH_MAX_KEY || !is_printable(*key) ? MF_EINVAL
                                                                          : 0;
}

/* ---- requests ---- */

MF_LOOP static void refuse(struct mf_api_req *r, const char *message,
                           const char *sentence)
{
    struct mf_buf *out = &r->api->out;

    mf_log_limited(MF_LOG_WARN, "auth_failed", "why=\"%s\"", message);
    if (r->family != MF_FAMILY_NATIVE) {
        mf_api_refuse(r, 401, NULL, sentence, "WWW-Authenticate: Bearer\r\n");
        return;
    }
    mf_buf_reset(out);
    mf_envelope_error_as(out, 401, message, "api_key", mf_slice_str(sentence));
    mf_api_send_out(r, 401, "WWW-Authenticate: Bearer\r\n");
}

MF_LOOP static void refuse_key(struct mf_api_req *r)
{
    refuse(r, "Authentication failed: Invalid API key",
           "The provided API key is invalid or has expired");
}

MF_LOOP static void enter(struct mf_api_req *r, const struct mf_id *user_id,
                          int64_t expires_us)
{
    if (expires_us != 0 && mf_wallclock_us() >= expires_us) {
        refuse_key(r);
        return;
    }
    r->scope = mf_scope_of_user(user_id);
    mf_api_go_on(r);
}

/* Without memory the key is just asked for again next time. */
MF_LOOP static void remember(struct mf_auth *a, const struct look_up *lk,
                             const struct mf_entity *row, uint64_t now_ms)
{
    struct mf_map_node *old =
        mf_map_find(&a->by_hash, mf_slice_of((const char *)lk->hash, sizeof(lk->hash)));
    struct known *k;

    if (old != NULL) {
        forget_one(a, mf_container_of(old, struct known, node));
    }
    if (a->oldest_first.n >= MF_AUTH_MAX_KNOWN) {
        forget_one(a,
                   mf_container_of(mf_list_head(&a->oldest_first), struct known, link));
    }
    k = mf_calloc(1, sizeof(*k));
    if (k == NULL) {
        return;
    }
    memcpy(k->hash, lk->hash, sizeof(k->hash));
    k->expires_us = row->expires_us;
    k->loaded_ms = now_ms;
    if (mf_id_from(&k->user_id, row->user_id) < 0 ||
        mf_map_insert(&a->by_hash, &k->node) < 0) {
        mf_free(k);
        return;
    }
    mf_list_push_tail(&a->oldest_first, &k->link);
}

/* While the store is away a key goes on that was good when it was asked for last, and
 * was not deleted here since. */
MF_LOOP static bool enter_known(struct mf_api_req *r, const uint8_t hash[MF_AUTH_HASH])
{
    struct mf_map_node *node = mf_map_find(
        &r->api->auth->by_hash, mf_slice_of((const char *)hash, (size_t)MF_AUTH_HASH));
    const struct known *k;

    if (node == NULL) {
        return false;
    }
    k = mf_container_of(node, struct known, node);
    enter(r, &k->user_id, k->expires_us);
    return true;
}

static void on_key_found(struct mf_call *c, int rc)
{
    struct look_up *lk = mf_container_of(c, struct look_up, call.call);
    struct mf_api_req *r = lk->r;
    struct mf_auth *a = r->api->auth;
    struct mf_id user_id;

    mf_loop_assert(r->api->loop);
    if ((rc == MF_EUNAVAILABLE || rc == MF_ETIMEOUT) && enter_known(r, lk->hash)) {
        return;
    }
    if (rc < 0 && rc != MF_ENOTFOUND) {
        r->u.call.err = c->err;
        mf_api_fail(r, rc);
        return;
    }
    if (rc < 0 || lk->call.n_rows == 0 ||
        mf_id_from(&user_id, lk->call.rows[0].user_id) < 0) {
        refuse_key(r);
        return;
    }
    if (lk->generation == a->generation) {
        remember(a, lk, &lk->call.rows[0], mf_loop_now_ms(r->api->loop));
    }
    enter(r, &user_id, lk->call.rows[0].expires_us);
}

MF_LOOP static void ask_store(struct mf_api_req *r, const uint8_t hash[MF_AUTH_HASH])
{
    struct look_up *lk = mf_arena_alloc(&r->http->arena, sizeof(*lk));
    int rc = MF_ENOMEM;

    if (lk != NULL) {
        memset(lk, 0, sizeof(*lk));
        lk->r = r;
        lk->generation = r->api->auth->generation;
        memcpy(lk->hash, hash, sizeof(lk->hash));
        lk->call.call.scope = &admin_scope;
        lk->call.call.arena = &r->http->arena;
        lk->call.call.done = on_key_found;
        lk->call.kind = MF_ENTITY_API_KEY;
        lk->call.in.key_hash = mf_slice_of((const char *)lk->hash, sizeof(lk->hash));
        rc = mf_engine_entity_find(r->api->engine, &lk->call);
    }
    if (rc < 0) {
        mf_api_fail(r, rc);
    }
}

MF_LOOP static void check_key(struct mf_api_req *r, struct mf_slice key)
{
    struct mf_auth *a = r->api->auth;
    uint8_t hash[MF_AUTH_HASH];
    struct mf_map_node *node;
    struct known *k;

    if (mf_auth_hash(a, key, hash) < 0) {
        mf_api_fail(r, MF_ENOMEM);
        return;
    }
    if (a->has_admin && CRYPTO_memcmp(hash, a->admin_hash, sizeof(hash)) == 0) {
        r->scope = mf_scope_admin();
        mf_api_go_on(r);
        return;
    }
    node = mf_map_find(&a->by_hash, mf_slice_of((const char *)hash, sizeof(hash)));
    k = node == NULL ? NULL : mf_container_of(node, struct known, node);
    if (k != NULL && mf_loop_now_ms(r->api->loop) - k->loaded_ms < MF_AUTH_TTL_MS) {
        enter(r, &k->user_id, k->expires_us);
        return;
    }
    ask_store(r, hash);
}

/* Clients of other families know one header only, whatever ours is called. */
static struct mf_slice key_header(const struct mf_auth *a,
                                  const struct mf_http_req *http)
{
    struct mf_slice header = mf_http_header(http, a->header);

    return header.n > 0 || mf_family_of(http->path) == MF_FAMILY_NATIVE
               ? header
               : mf_http_header(http, "Authorization");
}

bool mf_auth_has_no_key(const struct mf_auth *a, const struct mf_http_req *http)
{
    return a->is_on && key_header(a, http).n == 0;
}

void mf_auth_request(struct mf_api_req *r)
{
    const struct mf_auth *a = r->api->auth;
    struct mf_slice header, key;

    if (!a->is_on || (r->route->flags & MF_ROUTE_OPEN) != 0) {
        r->scope = mf_scope_admin();
        mf_api_go_on(r);
        return;
    }
    header = key_header(a, r->http);
    if (header.n == 0) {
        refuse(r, "Authentication failed: Missing API key", "API key is required");
    } else if (mf_auth_bearer(header, &key) < 0) {
        refuse(r, "Authentication failed: Invalid API key format",
               "API key format should be 'Bearer YOUR_API_KEY'");
    } else {
        check_key(r, key);
    }
}
