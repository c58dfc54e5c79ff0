/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/find.h"

#include "base/err.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

bool mf_hub_is_model(const char *folder)
{
    char path[MF_HUB_PATH_MAX];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/config.json", folder);

    return n > 0 && (size_t)n < sizeof(path) && stat(path, &st) == 0 &&
           S_ISREG(st.st_mode);
}

static int write_path(char *out, size_t cap, const char *dir, const char *name)
{
    int n = snprintf(out, cap, "%s%s", dir, name);

    return n >= 0 && (size_t)n < cap ? 0 : MF_ETOOBIG;
}

int mf_hub_find(char *out, size_t cap, const char *model, const char *data_dir)
{
    static const char below[] = "/" MF_HUB_MODELS "/" MF_HUB_DEFAULT_MODEL;
    int rc;

    if (strcmp(model, "auto") != 0) {
        return write_path(out, cap, "", model);
    }
    rc = write_path(out, cap, "", below + 1);
    if (rc < 0 || mf_hub_is_model(out)) {
        return rc;
    }
    rc = write_path(out, cap, data_dir, below);
    if (rc < 0 || mf_hub_is_model(out)) {
        return rc;
    }
    return write_path(out, cap, "", "hash");
}
