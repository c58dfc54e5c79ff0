/* SPDX-License-Identifier: Apache-2.0 */
/*
 * web: one GET at a time, over HTTPS; over HTTP only where the base address is HTTP on
 * loopback. Redirects are followed by the same rule. The proxy variables of the
 * environment count (not on loopback), and SSL_CERT_FILE.
 *
 * Owns:    the connection, kept open between calls
 * Thread:  one
 * Limits:  MF_WEB_REDIRECTS hops, CONNECT_S to connect, SLOW_S seconds without
 *          movement; the caller's bound of bytes
 * Fails:   MF_EUNAVAILABLE, MF_ETIMEOUT: try again; MF_ENOTFOUND, MF_EFORBIDDEN,
 *          MF_ETOOBIG, MF_EINVAL: do not; MF_ECANCELED: the caller wanted it; what the
 *          sink returned
 */
#ifndef MF_HUB_WEB_H
#define MF_HUB_WEB_H

#include "base/base.h"
#include "base/err.h"
#include "hub/listing.h"

#define MF_WEB_REDIRECTS 5

struct mf_web;

struct mf_web_get {
    const char *url;
    uint64_t from;      /* ask for what comes behind so many bytes */
    uint64_t max_bytes; /* of the whole, `from` included */
    /* Before the first byte: where it belongs (0 when the server sends all of it after
     * all) and how long the whole will be (0: not told). */
    int (*begin)(void *arg, uint64_t from, uint64_t total);
    int (*write)(void *arg, const void *p, size_t n);
    bool (*is_stopped)(void *arg); /* asked at least once a second */
    void *arg;
    /* results */
    long status;
    char sha256[MF_SHA256_HEX]; /* X-Linked-ETag, or the hub's own ETag; "" */
};

/* `base` decides whether HTTP is taken at all. */
MF_MUST MF_ANY int mf_web_open(struct mf_web **out, const char *base,
                               struct mf_err *err);
MF_ANY void mf_web_close(struct mf_web *w);
MF_MUST MF_ANY int mf_web_get(struct mf_web *w, struct mf_web_get *g,
                              struct mf_err *err);

/* For tests: "bytes 5-9/10" -> 5, 10; false when it is not of that form. */
MF_ANY bool mf_web_read_range(const char *text, size_t n, uint64_t *from,
                              uint64_t *total);

#endif
