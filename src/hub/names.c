/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/names.h"

#include <string.h>

#define MIB (1024ull * 1024)

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '.' || c == '_' || c == '-';
}

static bool word_ok(const char *word, size_t n)
{
    if (n == 0 || word[0] == '.') {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (!is_word_char(word[i])) {
            return false;
        }
    }
    return true;
}

bool mf_hub_name_ok(const char *name)
{
    const char *slash = strchr(name, '/');

    if (strlen(name) >= MF_HUB_NAME_MAX) {
        return false;
    }
    if (slash == NULL) {
        return word_ok(name, strlen(name));
    }
    return word_ok(name, (size_t)(slash - name)) &&
           word_ok(slash + 1, strlen(slash + 1));
}

bool mf_hub_revision_ok(const char *revision)
{
    size_t n = strlen(revision);

    return n < MF_HUB_REVISION_MAX && word_ok(revision, n);
}

static bool part_ok(const char *part, size_t n)
{
    if (n == 0 || (n == 1 && part[0] == '.') ||
        (n == 2 && memcmp(part, "..", 2) == 0)) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)part[i];

        if (c < 0x20 || c == 0x7f || c == '\\') {
            return false;
        }
    }
    return true;
}

bool mf_hub_path_ok(const char *path)
{
    const char *part = path;

    for (;;) {
        size_t n = strcspn(part, "/");

        if (!part_ok(part, n)) {
            return false;
        }
        if (part[n] == '\0') {
            return true;
        }
        part += n + 1;
    }
}

const char *mf_hub_leaf(const char *name)
{
    const char *slash = strrchr(name, '/');

    return slash == NULL ? name : slash + 1;
}

/* "1_Pooling/config.json" */
static bool is_pooling(const char *path)
{
    static const char tail[] = "_Pooling/config.json";
    size_t n = strlen(path);
    size_t n_tail = sizeof(tail) - 1;

    return n > n_tail && strcmp(path + n - n_tail, tail) == 0 &&
           word_ok(path, n - (sizeof("/config.json") - 1));
}

uint64_t mf_hub_file_bound(const char *path)
{
    static const struct {
        const char *path;
        uint64_t max_bytes;
    } needed[] = {
        {"config.json", MIB},
        {"modules.json", MIB},
        {"sentence_bert_config.json", MIB},
        {"config_sentence_transformers.json", MIB},
        {"tokenizer.json", 64 * MIB},
        {"tokenizer_config.json", 4 * MIB},
        {"special_tokens_map.json", MIB},
        {"vocab.txt", 64 * MIB},
        {"model.safetensors", 8192 * MIB},
    };

    if (strlen(path) >= MF_HUB_FILE_NAME_MAX) {
        return 0;
    }
    for (size_t i = 0; i < mf_countof(needed); i++) {
        if (strcmp(path, needed[i].path) == 0) {
            return needed[i].max_bytes;
        }
    }
    return is_pooling(path) ? MIB : 0;
}

bool mf_hub_is_sha256(const char *text, size_t n)
{
    if (n != 64) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = text[i];

        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
              (c >= 'A' && c <= 'F'))) {
            return false;
        }
    }
    return true;
}
