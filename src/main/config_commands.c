/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse check-config, print-config, version. */
#include "main/commands.h"

#include <llhttp.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>
#include <yaml.h>
#include <yyjson.h>

enum print_what { PRINT_CONF, PRINT_DOCS, PRINT_SAMPLE };

int mf_cmd_check_config(int argc, char **argv)
{
    struct mf_conf c;
    int rc = mf_load_conf(&c, argc, argv, NULL, NULL);

    if (rc == 0) {
        (void)printf("ok\n");
    }
    mf_conf_fini(&c);
    return rc;
}

static bool take_print_word(const char *word, void *arg)
{
    enum print_what *what = arg;

    if (strcmp(word, "--docs") == 0) {
        *what = PRINT_DOCS;
    } else if (strcmp(word, "--sample") == 0) {
        *what = PRINT_SAMPLE;
    } else {
        return false;
    }
    return true;
}

int mf_cmd_print_config(int argc, char **argv)
{
    enum print_what what = PRINT_CONF;
    struct mf_conf c;
    struct mf_buf out;
    int rc = mf_load_conf(&c, argc, argv, take_print_word, &what);

    mf_buf_init(&out);
    if (rc == 0) {
        switch (what) {
        case PRINT_CONF: mf_conf_print(&c, &out); break;
        case PRINT_DOCS: mf_conf_print_doc(&out); break;
        case PRINT_SAMPLE: mf_conf_print_sample(&out); break;
        }
        (void)fwrite(out.p, 1, out.n, stdout);
        rc = mf_buf_status(&out) < 0 || fflush(stdout) != 0 ? MF_EXIT_FAILED : 0;
    }
    mf_buf_fini(&out);
    mf_conf_fini(&c);
    return rc;
}

int mf_cmd_version(MF_UNUSED int argc, MF_UNUSED char **argv)
{
    (void)printf(
        "memfuse %s\nlibuv %s\nllhttp %d.%d.%d\nyyjson %s\nSQLite %s\nlibyaml %s\n",
        MF_VERSION, uv_version_string(), LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR,
        LLHTTP_VERSION_PATCH, YYJSON_VERSION_STRING, sqlite3_libversion(),
        yaml_get_version_string());
    return MF_EXIT_OK;
}
