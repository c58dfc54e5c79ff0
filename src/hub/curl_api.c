/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/curl_api.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARY "libcurl.so.4"

static bool find_all(struct mf_curl *c, void *library)
{
    void *at;

    /* ISO C has no cast between the two kinds of pointers; POSIX gives them one form.
     */
#define X(ours, theirs)                                                                \
    at = dlsym(library, #theirs);                                                      \
    if (at == NULL) {                                                                  \
        return false;                                                                  \
    }                                                                                  \
    memcpy(&c->ours, &at, sizeof(at));
    MF_CURL_FUNCTIONS(X)
#undef X
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
