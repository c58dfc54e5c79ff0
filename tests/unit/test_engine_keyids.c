/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"
#include "engine/keyids.h"
#include "lib/mf_test.h"

#include <string.h>

static const uint8_t body[MF_KEYIDS_BYTES] = {1, 2, 3};
static const uint8_t other_body[MF_KEYIDS_BYTES] = {1, 2, 4};

static struct mf_id make(const char *key, const uint8_t *hash, uint32_t index)
{
    struct mf_keyids k;
    struct mf_id id;

    MF_CHECK_OK(mf_keyids_init(&k, mf_slice_str(key), hash));
    MF_CHECK_OK(mf_keyids_make(&k, index, &id));
    return id;
}

MF_TEST(keyids, are_uuids_of_version_8_and_stay_what_they_are)
{
    struct mf_id id = make("ann|sessions|s1|messages|once", body, 0);

    MF_CHECK_INT(id.n, MF_UUID_LEN);
    MF_CHECK(mf_id_is_valid(mf_id_slice(&id)));
    MF_CHECK_INT(id.s[14], '8');
    MF_CHECK(strchr("89ab", id.s[19]) != NULL);
    /* On disk and with clients: another release has to make the same ones. */
    MF_CHECK_STR(id.s, "6de3166d-2b3e-8262-9255-bfdab62720a3");
}

MF_TEST(keyids, are_the_same_for_the_same_request_only)
{
    const char *key = "ann|sessions|s1|messages|once";
    struct mf_id id = make(key, body, 3), again = make(key, body, 3);
    struct mf_id others[] = {make(key, body, 4), make(key, body, 0x03000000),
                             make(key, other_body, 3),
                             make("bob|sessions|s1|messages|once", body, 3),
                             make("ann|sessions|s1|messages|once ", body, 3)};

    MF_CHECK(mf_id_eq(&id, &again));
    for (size_t i = 0; i < mf_countof(others); i++) {
        MF_CHECK(!mf_id_eq(&id, &others[i]));
    }
}

MF_TEST(keyids, need_memory)
{
    struct mf_keyids k;

    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_keyids_init(&k, mf_slice_str("key"), body), MF_ENOMEM);
    mf_test_fail_nth(0);
}
