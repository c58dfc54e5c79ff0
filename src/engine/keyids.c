/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/keyids.h"

#include "base/err.h"
#include "base/mem.h"

#include <openssl/evp.h>
#include <string.h>

static const char word[] = "memfuse id 1";

static void put_number(struct mf_buf *b, uint64_t n, unsigned n_bytes)
{
    for (unsigned i = 0; i < n_bytes; i++) {
        mf_buf_add_char(b, (char)(n >> (8 * i)));
    }
}

static int digest(const void *p, size_t n, uint8_t out[MF_KEYIDS_BYTES])
{
    /* Fails only without memory. */
    return EVP_Digest(p, n, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : MF_ENOMEM;
}

int mf_keyids_hash(struct mf_slice bytes, uint8_t out[MF_KEYIDS_BYTES])
{
    return digest(bytes.p, bytes.n, out);
}

int mf_keyids_init(struct mf_keyids *k, struct mf_slice key,
                   const uint8_t body_hash[MF_KEYIDS_BYTES])
{
    struct mf_buf b;
    int rc;

    mf_buf_init(&b);
    mf_buf_add(&b, word, sizeof(word) - 1);
    put_number(&b, key.n, 8);
    mf_buf_add(&b, key.p, key.n);
    mf_buf_add(&b, (const char *)body_hash, MF_KEYIDS_BYTES);
    rc = mf_buf_status(&b);
    if (rc == 0) {
        rc = digest(b.p, b.n, k->seed);
    }
    mf_buf_fini(&b);
    return rc;
}

int mf_keyids_make(const struct mf_keyids *k, uint32_t index, struct mf_id *out)
{
    uint8_t in[MF_KEYIDS_BYTES + 4], hash[MF_KEYIDS_BYTES];
    int rc;

    memcpy(in, k->seed, MF_KEYIDS_BYTES);
    for (unsigned i = 0; i < 4; i++) {
        in[MF_KEYIDS_BYTES + i] = (uint8_t)(index >> (8 * i));
    }
    rc = digest(in, sizeof(in), hash);
    if (rc == 0) {
        mf_id_new_v8(out, hash);
    }
    return rc;
}
