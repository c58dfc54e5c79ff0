/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/curl_api.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static const struct {
    const char *name;
    size_t at; /* in struct mf_curl */
} functions[] = {
    {"curl_global_init", offsetof(struct mf_curl, global_init)},
    {"curl_easy_init", offsetof(struct mf_curl, easy_init)},
    {"curl_easy_setopt", offsetof(struct mf_curl, easy_setopt)},
    {"curl_easy_getinfo", offsetof(struct mf_curl, easy_getinfo)},
    {"curl_easy_perform", offsetof(struct mf_curl, easy_perform)},
    {"curl_easy_cleanup", offsetof(struct mf_curl, easy_cleanup)},
    {"curl_easy_strerror", offsetof(struct mf_curl, easy_strerror)},
    {"curl_url", offsetof(struct mf_curl, url)},
    {"curl_url_set", offsetof(struct mf_curl, url_set)},
    {"curl_url_get", offsetof(struct mf_curl, url_get)},
    {"curl_url_cleanup", offsetof(struct mf_curl, url_cleanup)},
    {"curl_free", offsetof(struct mf_curl, free)},
};

/* ISO C has no cast between the two kinds of pointers; POSIX gives them one form. */
static bool find_all(struct mf_curl *c, void *library)
{
    for (size_t i = 0; i < mf_countof(functions); i++) {
        void *found = dlsym(library, functions[i].name);

        if (found == NULL) {
            return false;
        }
        memcpy((char *)c + functions[i].at, &found, sizeof(found));
    }
    return true;
}

int mf_curl_load(const struct mf_curl **out, struct mf_err *err)
{
    static struct mf_curl loaded;
    static bool is_loaded;
    void *library;

    if (!is_loaded) {
        library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL || !find_all(&loaded, library) ||
            loaded.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            return mf_err_set(err, MF_EUNAVAILABLE,
                              LIBRARY " cannot be loaded: install the package libcurl4 "
                                      "(libcurl4t64 on Debian 13)");
        }
        is_loaded = true;
    }
    *out = &loaded;
    return 0;
}
