/* SPDX-License-Identifier: Apache-2.0 */
#include "api/family.h"

#include "api/json_out.h"

static bool starts_with(struct mf_slice s, const char *word)
{
    size_t n = strlen(word);

    return s.n >= n && memcmp(s.p, word, n) == 0;
}

enum mf_family mf_family_of(struct mf_slice path)
{
    static const char *const tei[] = {"/",         "/embed", "/embed_all",
                                      "/tokenize", "/info",  "/health"};
    struct mf_slice bare = path;

    if (path.n > 1 && path.p[path.n - 1] == '/') {
        bare.n--;
    }
    if (starts_with(path, "/v1/") || mf_slice_is(bare, "/embeddings")) {
        return MF_FAMILY_OPENAI;
    }
    for (size_t i = 0; i < mf_countof(tei); i++) {
        if (mf_slice_is(bare, tei[i])) {
            return MF_FAMILY_TEI;
        }
    }
    return MF_FAMILY_NATIVE;
}

/* Whoever asks too much is told to slow down; there is no 422 and no 413. */
static int openai_status(int code)
{
    switch (code) {
    case MF_ETOOBIG:
    case MF_EUNPROCESSABLE: return 400;
    case MF_EBUSY: return 429;
    default: return mf_code_status(code);
    }
}

static int tei_status(int code)
{
    switch (code) {
    case MF_EINVAL: return 422;
    case MF_EBUSY: return 429;
    case MF_EBACKEND:
    case MF_ETIMEOUT: return 424;
    default: return mf_code_status(code);
    }
}

int mf_family_status(enum mf_family f, int code)
{
    if (code == MF_ECANCELED) {
        return 503;
    }
    return f == MF_FAMILY_OPENAI ? openai_status(code)
           : f == MF_FAMILY_TEI  ? tei_status(code)
                                 : mf_code_status(code);
}

static const char *openai_type(int status)
{
    switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
    }
}

static const char *openai_code(int status, const char *field)
{
    switch (status) {
    case 401: return "invalid_api_key";
    case 404:
        return field != NULL && strcmp(field, "model") == 0 ? "model_not_found" : NULL;
    case 429: return "rate_limit_exceeded";
    default: return NULL;
    }
}

static const char *tei_type(int status)
{
    switch (status) {
    case 400: return "Empty"; /* what else is wrong with a body is 413 or 422 */
    case 401: return "Unauthorized";
    case 424:
    case 500: return "Backend";
    case 429: return "Overloaded";
    default: return status >= 500 ? "Unhealthy" : "Validation";
    }
}

static void put_or_null(struct mf_buf *b, const char *s)
{
    mf_json_put_text_or_null(b, mf_slice_str(s));
}

void mf_family_error(struct mf_buf *b, enum mf_family f, int status, const char *field,
                     const char *message)
{
    if (f == MF_FAMILY_TEI) {
        MF_JSON_PUT(b, "{\"error\":");
        mf_json_put_str(b, message);
        MF_JSON_PUT(b, ",\"error_type\":");
        mf_json_put_str(b, tei_type(status));
        mf_buf_add_char(b, '}');
        return;
    }
    MF_JSON_PUT(b, "{\"error\":{\"message\":");
    mf_json_put_str(b, message);
    MF_JSON_PUT(b, ",\"type\":");
    mf_json_put_str(b, openai_type(status));
    MF_JSON_PUT(b, ",\"param\":");
    put_or_null(b, field);
    MF_JSON_PUT(b, ",\"code\":");
    put_or_null(b, openai_code(status, field));
    MF_JSON_PUT(b, "}}");
}

static struct mf_slice pick(enum mf_family f, const char *native, const char *openai,
                            const char *tei)
{
    return mf_slice_str(f == MF_FAMILY_OPENAI ? openai
                        : f == MF_FAMILY_TEI  ? tei
                                              : native);
}

struct mf_slice mf_family_no_memory(enum mf_family f)
{
    return pick(f,
                "{\"status\":\"error\",\"code\":503,\"data\":null,\"message\":\"out of "
                "memory\",\"errors\":[{\"field\":\"general\",\"message\":\"out of "
                "memory\"}]}",
                "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\","
                "\"param\":null,\"code\":null}}",
                "{\"error\":\"out of memory\",\"error_type\":\"Unhealthy\"}");
}

struct mf_slice mf_family_no_key(enum mf_family f)
{
    return pick(
        f,
        "{\"status\":\"error\",\"code\":401,\"data\":null,\"message\":\"Authentication "
        "failed: Missing API key\",\"errors\":[{\"field\":\"api_key\",\"message\":\"API "
        "key is required\"}]}",
        "{\"error\":{\"message\":\"API key is required\",\"type\":"
        "\"authentication_error\",\"param\":null,\"code\":\"invalid_api_key\"}}",
        "{\"error\":\"API key is required\",\"error_type\":\"Unauthorized\"}");
}
