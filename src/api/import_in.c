/* SPDX-License-Identifier: Apache-2.0 */
#include "api/import_in.h"

#include "api/message_in.h"

static void take_name(const struct mf_conf *conf, const struct mf_json_at *at,
                      const char *key, enum mf_json_need need, struct mf_slice *out)
{
    if (mf_json_text(at, key, need, out)) {
        mf_name_check(conf, at, key, *out);
    }
}

static void take_line(const struct mf_conf *conf, const struct mf_json_at *at,
                      struct mf_import_line *out)
{
    size_t n;

    take_name(conf, at, "user", MF_JSON_REQUIRED, &out->user);
    take_name(conf, at, "agent", MF_JSON_OPTIONAL, &out->agent);
    take_name(conf, at, "session", MF_JSON_REQUIRED, &out->session);
    out->msgs =
        mf_messages_take(conf, at, "messages", conf->limits_messages_per_add, &n);
    out->n_msgs = (uint32_t)n;
}

int mf_import_line_read(struct mf_json *j, const struct mf_conf *conf,
                        struct mf_slice text, struct mf_faults *faults,
                        struct mf_import_line *out)
{
    struct mf_json_at at = {.faults = faults};
    int rc = mf_json_open(j, text, faults, &at.obj);

    if (rc < 0) {
        return rc;
    }
    *out = (struct mf_import_line){.text = text};
    if (yyjson_is_obj(at.obj)) {
        take_line(conf, &at, out);
    } else {
        (void)mf_json_fault(&at, NULL, MF_EUNPROCESSABLE, "dict_type",
                            "Input should be an object");
    }
    mf_json_close(j);
    return faults->code;
}
