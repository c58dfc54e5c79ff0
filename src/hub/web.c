/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/web.h"

#include "base/mem.h"
#include "base/str.h"
#include "hub/curl_api.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_S   15L
#define SLOW_S      30L
#define SLOW_BYTES  256L
#define MAX_REFUSAL 65536 /* bytes of an answer that nobody wants */
#define MAX_URL     2048

struct mf_web {
    const struct mf_curl *curl;
    CURL *easy;
    bool is_plain; /* the base is http on loopback */
    char why[CURL_ERROR_SIZE];
};

/* One hop of a GET. */
struct hop {
    struct mf_web *w;
    struct mf_web_get *get;
    bool is_first;
    bool has_begun;
    uint64_t at;       /* bytes of the whole so far */
    uint64_t n_wasted; /* bytes of an answer that is no file */
    uint64_t range_from, range_total;
    bool has_range;
    char etag[MF_SHA256_HEX];
    int rc; /* why we ended it ourselves */
    struct mf_err *err;
};

/* ---- addresses ---- */

static bool is_loopback(const char *host)
{
    struct in_addr v4;

    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

static char *part_of(struct mf_web *w, CURLU *u, CURLUPart part)
{
    char *text = NULL;

    return w->curl->url_get(u, part, &text, 0) == CURLUE_OK ? text : NULL;
}

/* libcurl takes the address apart, since libcurl will go there. */
static int check_parts(struct mf_web *w, CURLU *u, bool *is_plain, struct mf_err *err)
{
    char *scheme = part_of(w, u, CURLUPART_SCHEME);
    char *host = part_of(w, u, CURLUPART_HOST);
    char *user = part_of(w, u, CURLUPART_USER);
    int rc = 0;

    if (scheme == NULL || host == NULL) {
        rc = mf_err_set(err, MF_EINVAL, "an address begins with https:// and a host");
    } else if (user != NULL) {
        rc = mf_err_set(err, MF_EINVAL, "an address with a user's name is not taken");
    } else if (strcmp(scheme, "http") == 0) {
        *is_plain = is_loopback(host);
        rc = *is_plain ? 0
                       : mf_err_set(err, MF_EFORBIDDEN,
                                    "http:// is taken on loopback only; use https://");
    } else if (strcmp(scheme, "https") != 0) {
        rc = mf_err_set(err, MF_EFORBIDDEN, "%.20s:// is not taken; use https://",
                        scheme);
    }
    w->curl->free(scheme);
    w->curl->free(host);
    w->curl->free(user);
    return rc;
}

/* `is_plain`: whether it is HTTP on loopback. */
static int check_url(struct mf_web *w, const char *url, bool *is_plain,
                     struct mf_err *err)
{
    CURLU *u = w->curl->url();
    int rc;

    *is_plain = false;
    if (u == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    if (strlen(url) >= MAX_URL ||
        w->curl->url_set(u, CURLUPART_URL, url, CURLU_NON_SUPPORT_SCHEME) !=
            CURLUE_OK) {
        rc = mf_err_set(err, MF_EINVAL, "the address is none: it begins with https://");
    } else {
        rc = check_parts(w, u, is_plain, err);
    }
    w->curl->url_cleanup(u);
    return rc;
}

/* ---- headers ---- */

static bool take_number(const char **at, const char *end, uint64_t *out)
{
    const char *from = *at;

    while (*at < end && **at >= '0' && **at <= '9') {
        (*at)++;
    }
    return mf_slice_to_u64(mf_slice_of(from, (size_t)(*at - from)), out) == 0;
}

bool mf_web_read_range(const char *text, size_t n, uint64_t *from, uint64_t *total)
{
    const char *end = text + n;
    uint64_t last;

    if (n < 6 || memcmp(text, "bytes ", 6) != 0) {
        return false;
    }
    text += 6;
    return take_number(&text, end, from) && text < end && *text++ == '-' &&
           take_number(&text, end, &last) && text < end && *text++ == '/' &&
           take_number(&text, end, total) && text == end && *from <= last &&
           last < *total;
}

static struct mf_slice unquote(struct mf_slice v)
{
    if (v.n >= 2 && v.p[0] == '"' && v.p[v.n - 1] == '"') {
        return mf_slice_of(v.p + 1, v.n - 2);
    }
    return v;
}

static void take_header(struct hop *h, struct mf_slice name, struct mf_slice value)
{
    struct mf_slice word = unquote(value);

    if (mf_slice_is_nocase(name, "x-linked-etag") && h->get->sha256[0] == '\0') {
        (void)mf_hub_take_sha256(h->get->sha256, word.p, word.n);
    } else if (mf_slice_is_nocase(name, "etag")) {
        (void)mf_hub_take_sha256(h->etag, word.p, word.n);
    } else if (mf_slice_is_nocase(name, "content-range")) {
        h->has_range =
            mf_web_read_range(value.p, value.n, &h->range_from, &h->range_total);
    }
}

static size_t read_header(char *line, size_t size, size_t n, void *arg)
{
    struct hop *h = arg;
    const char *colon = memchr(line, ':', size * n);

    if (colon != NULL) {
        size_t n_name = (size_t)(colon - line);

        take_header(h, mf_slice_of(line, n_name),
                    mf_slice_trim(mf_slice_of(colon + 1, size * n - n_name - 1)));
    }
    return size * n;
}

/* ---- body ---- */

static bool is_body(long status)
{
    return status == 200 || status == 206;
}

static int too_big(struct hop *h)
{
    return mf_err_set(h->err, MF_ETOOBIG,
                      "it has more than the %llu bytes that are taken",
                      (unsigned long long)h->get->max_bytes);
}

static int begin_body(struct hop *h)
{
    struct mf_web_get *g = h->get;
    curl_off_t length = -1;
    uint64_t total;

    (void)h->w->curl->easy_getinfo(h->w->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T,
                                   &length);
    h->at = 0;
    total = length < 0 ? 0 : (uint64_t)length;
    if (g->status == 206) {
        if (!h->has_range || h->range_from != g->from) {
            return mf_err_set(h->err, MF_EINVAL,
                              "the server sent another part than was asked for");
        }
        h->at = g->from;
        total = h->range_total;
    }
    if (total > g->max_bytes) {
        return too_big(h);
    }
    h->has_begun = true;
    return g->begin(g->arg, h->at, total);
}

static int take_body(struct hop *h, const char *p, size_t n)
{
    struct mf_web_get *g = h->get;
    int rc = 0;

    (void)h->w->curl->easy_getinfo(h->w->easy, CURLINFO_RESPONSE_CODE, &g->status);
    if (!is_body(g->status)) {
        h->n_wasted += n;
        return h->n_wasted > MAX_REFUSAL ? MF_ETOOBIG : 0;
    }
    if (!h->has_begun) {
        rc = begin_body(h);
    }
    if (rc == 0 && n > g->max_bytes - h->at) {
        rc = too_big(h);
    }
    if (rc == 0) {
        h->at += n;
        rc = g->write(g->arg, p, n);
    }
    return rc;
}

static size_t read_body(char *p, size_t size, size_t n, void *arg)
{
    struct hop *h = arg;

    h->rc = take_body(h, p, size * n);
    return h->rc == 0 ? size * n : 0;
}

static int on_progress(void *arg, MF_UNUSED curl_off_t down_total,
                       MF_UNUSED curl_off_t down, MF_UNUSED curl_off_t up_total,
                       MF_UNUSED curl_off_t up)
{
    struct hop *h = arg;

    return h->get->is_stopped(h->get->arg) ? 1 : 0;
}

/* ---- one hop ---- */

static int fail_hop(struct hop *h, CURLcode code)
{
    struct mf_web *w = h->w;
    const char *why = w->why[0] != '\0' ? w->why : w->curl->easy_strerror(code);

    switch ((int)code) {
    case CURLE_ABORTED_BY_CALLBACK: return mf_err_set(h->err, MF_ECANCELED, "stopped");
    case CURLE_OUT_OF_MEMORY: return mf_err_set(h->err, MF_ENOMEM, "out of memory");
    case CURLE_OPERATION_TIMEDOUT:
        return mf_err_set(h->err, MF_ETIMEOUT, "%.150s", why);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CONNECT_ERROR:
        return mf_err_set(h->err, MF_EFORBIDDEN, "TLS: %.150s", why);
    default: return mf_err_set(h->err, MF_EUNAVAILABLE, "%.150s", why);
    }
}

static int judge_status(struct hop *h)
{
    long status = h->get->status;

    if (status == 404 || status == 410) {
        return mf_err_set(h->err, MF_ENOTFOUND, "the hub does not have it (status %ld)",
                          status);
    }
    if (status == 401 || status == 403) {
        return mf_err_set(h->err, MF_EFORBIDDEN,
                          "the hub asks who you are (status %ld); only what is open to "
                          "all can be pulled",
                          status);
    }
    if (status == 408 || status == 429 || status >= 500) {
        return mf_err_set(h->err, MF_EUNAVAILABLE, "the hub answered with status %ld",
                          status);
    }
    return mf_err_set(h->err, status == 416 ? MF_ECONFLICT : MF_EINVAL,
                      "the hub answered with status %ld", status);
}

static void set_hop(struct hop *h, const char *url, bool is_plain)
{
    const struct mf_curl *c = h->w->curl;
    CURL *e = h->w->easy;
    char range[32];

    (void)c->easy_setopt(e, CURLOPT_URL, url);
    (void)c->easy_setopt(e, CURLOPT_PROTOCOLS_STR, is_plain ? "http" : "https");
    /* NULL: as the environment says. */
    (void)c->easy_setopt(e, CURLOPT_PROXY, is_plain ? "" : NULL);
    (void)c->easy_setopt(e, CURLOPT_HEADERDATA, h);
    (void)c->easy_setopt(e, CURLOPT_WRITEDATA, h);
    (void)c->easy_setopt(e, CURLOPT_XFERINFODATA, h);
    (void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)h->get->from);
    (void)c->easy_setopt(e, CURLOPT_RANGE, h->get->from > 0 ? range : NULL);
}

static bool is_redirect(long status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 ||
           status == 308;
}

/* 0: the body is whole; 1: `next` is where to go. */
static int run_hop(struct hop *h, const char *url, char *next, size_t cap)
{
    struct mf_web *w = h->w;
    char *location = NULL;
    bool is_plain;
    CURLcode code;
    int rc = check_url(w, url, &is_plain, h->err);

    if (rc == 0 && is_plain && !w->is_plain) {
        rc = mf_err_set(h->err, MF_EFORBIDDEN, "http:// is not taken; use https://");
    }
    if (rc < 0) {
        return mf_err_wrap(h->err, rc, "%s", h->is_first ? "address" : "redirect");
    }
    set_hop(h, url, is_plain);
    w->why[0] = '\0';
    code = w->curl->easy_perform(w->easy);
    (void)w->curl->easy_getinfo(w->easy, CURLINFO_RESPONSE_CODE, &h->get->status);
    if (h->rc < 0 && is_body(h->get->status)) {
        return h->rc;
    }
    if (h->rc == 0 && code != CURLE_OK) {
        return fail_hop(h, code);
    }
    if (is_redirect(h->get->status)) {
        (void)w->curl->easy_getinfo(w->easy, CURLINFO_REDIRECT_URL, &location);
        if (location == NULL || strlen(location) >= cap) {
            return mf_err_set(h->err, MF_EINVAL, "the hub redirects to nowhere");
        }
        memcpy(next, location, strlen(location) + 1);
        return 1;
    }
    if (!is_body(h->get->status)) {
        return judge_status(h);
    }
    return h->has_begun ? 0 : begin_body(h); /* an empty file */
}

int mf_web_get(struct mf_web *w, struct mf_web_get *g, struct mf_err *err)
{
    char url[MAX_URL], next[MAX_URL];
    int n = snprintf(url, sizeof(url), "%s", g->url);

    g->sha256[0] = '\0';
    if (n < 0 || (size_t)n >= sizeof(url)) {
        return mf_err_set(err, MF_EINVAL, "the address is too long");
    }
    for (int i = 0; i <= MF_WEB_REDIRECTS; i++) {
        struct hop h = {.w = w, .get = g, .is_first = i == 0, .err = err};
        int rc = run_hop(&h, url, next, sizeof(next));

        /* The hub's own word only: behind a redirect an ETag means something else. */
        if (rc == 0 && i == 0 && g->sha256[0] == '\0') {
            memcpy(g->sha256, h.etag, sizeof(h.etag));
        }
        if (rc <= 0) {
            return rc;
        }
        memcpy(url, next, sizeof(url));
    }
    return mf_err_set(err, MF_EINVAL, "the hub redirects more than %d times",
                      MF_WEB_REDIRECTS);
}

/* ---- open, close ---- */

static void set_all(struct mf_web *w)
{
    const struct mf_curl *c = w->curl;
    const char *ca = getenv("SSL_CERT_FILE");
    CURL *e = w->easy;

    (void)c->easy_setopt(e, CURLOPT_ERRORBUFFER, w->why);
    (void)c->easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)c->easy_setopt(e, CURLOPT_NOPROGRESS, 0L);
    (void)c->easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
    (void)c->easy_setopt(e, CURLOPT_HEADERFUNCTION, read_header);
    (void)c->easy_setopt(e, CURLOPT_WRITEFUNCTION, read_body);
    (void)c->easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    (void)c->easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    (void)c->easy_setopt(e, CURLOPT_USERAGENT, "memfuse");
    (void)c->easy_setopt(e, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    (void)c->easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, SLOW_BYTES);
    (void)c->easy_setopt(e, CURLOPT_LOW_SPEED_TIME, SLOW_S);
    if (ca != NULL && ca[0] != '\0') {
        (void)c->easy_setopt(e, CURLOPT_CAINFO, ca);
    }
}

int mf_web_open(struct mf_web **out, const char *base, struct mf_err *err)
{
    struct mf_web *w = mf_calloc(1, sizeof(*w));
    int rc;

    if (w == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    rc = mf_curl_load(&w->curl, err);
    if (rc == 0) {
        rc = check_url(w, base, &w->is_plain, err);
    }
    if (rc == 0) {
        w->easy = w->curl->easy_init();
        rc = w->easy == NULL ? mf_err_set(err, MF_ENOMEM, "out of memory") : 0;
    }
    if (rc < 0) {
        mf_free(w);
        return rc;
    }
    set_all(w);
    *out = w;
    return 0;
}

void mf_web_close(struct mf_web *w)
{
    if (w != NULL) {
        w->curl->easy_cleanup(w->easy);
        mf_free(w);
    }
}
