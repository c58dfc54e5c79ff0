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

struct mf_curl {
    __typeof__(&curl_global_init) global_init;
    __typeof__(&curl_easy_init) easy_init;
    __typeof__(&curl_easy_setopt) easy_setopt;
    __typeof__(&curl_easy_getinfo) easy_getinfo;
    __typeof__(&curl_easy_perform) easy_perform;
    __typeof__(&curl_easy_cleanup) easy_cleanup;
    __typeof__(&curl_easy_strerror) easy_strerror;
    __typeof__(&curl_url) url;
    __typeof__(&curl_url_set) url_set;
    __typeof__(&curl_url_get) url_get;
    __typeof__(&curl_url_cleanup) url_cleanup;
    __typeof__(&curl_free) free;
};

MF_MUST MF_ANY int mf_curl_load(const struct mf_curl **out, struct mf_err *err);

#endif
