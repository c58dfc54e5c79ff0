/* SPDX-License-Identifier: Apache-2.0 */
/*
 * curl_api: libcurl, loaded when it is called for the first time and not before.
 *
 * Linked in it would make every start of the service slower and its memory larger, for
 * one command that is run once (docs/dependencies.md has the figures).
 *
 * Owns:    the loaded library, until the process ends
 * Thread:  one
 * Limits:  libcurl 7.85 or later (CURLOPT_PROTOCOLS_STR)
 * Fails:   MF_EUNAVAILABLE: it is not installed, and how to install it
 */
#ifndef MF_HUB_CURL_API_H
#define MF_HUB_CURL_API_H

#include "base/base.h"
#include "base/err.h"

/* Without its macros: the functions are called through pointers. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

/* name here, name in the library */
#define MF_CURL_FUNCTIONS(X)                                                           \
    X(global_init, curl_global_init)                                                   \
    X(easy_init, curl_easy_init)                                                       \
    X(easy_setopt, curl_easy_setopt)                                                   \
    X(easy_getinfo, curl_easy_getinfo)                                                 \
    X(easy_perform, curl_easy_perform)                                                 \
    X(easy_cleanup, curl_easy_cleanup)                                                 \
    X(easy_strerror, curl_easy_strerror)                                               \
    X(url, curl_url)                                                                   \
    X(url_set, curl_url_set)                                                           \
    X(url_get, curl_url_get)                                                           \
    X(url_cleanup, curl_url_cleanup)                                                   \
    X(free, curl_free)

struct mf_curl {
#define X(ours, theirs) __typeof__(&(theirs)) ours;
    MF_CURL_FUNCTIONS(X)
#undef X
};

MF_MUST MF_ANY int mf_curl_load(const struct mf_curl **out, struct mf_err *err);

#endif
