/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "journal/record.h"
#include "lib/mf_test.h"
#include "unit/journal_items.h"

#include <xxhash.h>

static struct mf_slice packed(struct mf_buf *b, const struct mf_item *it)
{
    mf_buf_init(b);
    MF_CHECK_OK(mf_record_pack(b, it));
    return mf_slice_of(b->p, b->n);
}

/* The checksum for what stands there now: damage that no checksum would find. */
static void seal(struct mf_buf *b)
{
    mf_put_u64(b->p + b->n - 8, XXH3_64bits(b->p, b->n - 8));
}

static void check_round_trip(struct mf_item *it)
{
    struct mf_item *back = NULL;
    struct mf_buf b, again;
    struct mf_slice rec = packed(&b, it);

    as_loop();
    MF_CHECK_INT(rec.n, mf_record_size(it));
    MF_CHECK_OK(mf_record_unpack(rec, &back));
    MF_CHECK(kit_items_equal(it, back));
    MF_CHECK(mf_slice_eq(packed(&again, back), rec));
    mf_buf_fini(&b);
    mf_buf_fini(&again);
    mf_item_unref(back);
    mf_item_unref(it);
}

MF_TEST(record, gives_back_what_was_packed)
{
    check_round_trip(kit_item(1));
    check_round_trip(kit_item(MF_RECORD_MAX_SEQ));
    check_round_trip(kit_big_item(7, 3, 1000));
    check_round_trip(kit_big_item(8, 200, 50)); /* more than fit on the stack */
    check_round_trip(kit_big_item(9, 1, 0));
    check_round_trip(kit_big_item(10, 0, 0));
    check_round_trip(kit_big_item(11, 2, 3 << 20));
}

MF_TEST(record, keeps_empty_texts_and_extreme_times)
{
    struct mf_msg m = {.created_us = INT64_MIN, .updated_us = INT64_MAX};
    struct mf_item_spec spec = {.accepted_us = -1, .msgs = &m, .n_msgs = 1};
    struct mf_item *it = mf_item_new(&spec);

    mf_item_set_seq(it, 5);
    check_round_trip(it);
}

MF_TEST(record, appends_behind_what_the_buffer_holds)
{
    struct mf_item *a = kit_item(1), *b = kit_item(2), *back = NULL;
    size_t first = mf_record_size(a);
    struct mf_buf buf;

    as_loop();
    (void)packed(&buf, a);
    MF_CHECK_OK(mf_record_pack(&buf, b));
    MF_CHECK_INT(buf.n, first + mf_record_size(b));
    MF_CHECK_OK(mf_record_unpack(mf_slice_of(buf.p + first, buf.n - first), &back));
    MF_CHECK(kit_is_right(back));
    mf_item_unref(a);
    mf_item_unref(b);
    mf_item_unref(back);
    mf_buf_fini(&buf);
}

MF_TEST(record, tells_whose_it_is_without_unpacking)
{
    struct mf_item *it = kit_big_item(77, 3, 10);
    struct mf_record_head head;
    struct mf_buf b;
    struct mf_slice rec = packed(&b, it);

    as_loop();
    MF_CHECK(mf_record_peek(rec, &head));
    MF_CHECK_INT(head.seq, 77);
    MF_CHECK_INT(head.n_msgs, 3);
    b.p[90] = (char)(b.p[90] ^ 1);
    MF_CHECK(!mf_record_peek(rec, &head));
    mf_buf_fini(&b);
    mf_item_unref(it);
}

MF_TEST(record, finds_every_flipped_bit)
{
    struct mf_item *it = kit_item(3), *back = NULL;
    struct mf_buf b;
    struct mf_slice rec = packed(&b, it);

    as_loop();
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
        MF_CHECK_INT(mf_record_unpack(rec, &back), MF_ECORRUPT);
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << (i % 8)));
    }
    MF_CHECK_PTR(back, NULL);
    mf_buf_fini(&b);
    mf_item_unref(it);
}

MF_TEST(record, finds_every_cut_and_every_byte_too_many)
{
    struct mf_item *it = kit_item(3), *back = NULL;
    struct mf_buf b;
    struct mf_slice rec = packed(&b, it);

    as_loop();
    for (size_t n = 0; n < rec.n; n++) {
        MF_CHECK_INT(mf_record_unpack(mf_slice_of(rec.p, n), &back), MF_ECORRUPT);
    }
    mf_buf_add_char(&b, 'x');
    MF_CHECK_INT(mf_record_unpack(mf_slice_of(b.p, b.n), &back), MF_ECORRUPT);
    MF_CHECK_INT(mf_record_unpack(mf_slice_of(NULL, 0), &back), MF_ECORRUPT);
    mf_buf_fini(&b);
    mf_item_unref(it);
}

/* With a right checksum: the fields themselves are looked at. */
static void check_refused_with(size_t at, uint32_t value)
{
    struct mf_item *it = kit_big_item(4, 2, 20), *back = NULL;
    struct mf_buf b;
    struct mf_slice rec = packed(&b, it);

    as_loop();
    mf_put_u32(b.p + at, value);
    seal(&b);
    MF_CHECK_INT(mf_record_unpack(rec, &back), MF_ECORRUPT);
    MF_CHECK_PTR(back, NULL);
    mf_buf_fini(&b);
    mf_item_unref(it);
}

MF_TEST(record, refuses_fields_that_cannot_be_though_the_checksum_is_right)
{
    check_refused_with(0, 0x0272666d);  /* another version */
    check_refused_with(4, 7);           /* length */
    check_refused_with(8, 0);           /* seq 0 */
    check_refused_with(12, 0x80000000); /* seq above SQLite's */
    check_refused_with(24, 1);          /* a message fewer */
    check_refused_with(24, 3);          /* one more */
    check_refused_with(24, UINT32_MAX); /* mad count */
    check_refused_with(28, UINT32_MAX); /* length of the user id */
    check_refused_with(44, 0);          /* idem key shorter: bytes are left over */
    check_refused_with(80, UINT32_MAX); /* message id */
    check_refused_with(84, 21);         /* content one byte longer */
    check_refused_with(88, 0);          /* metadata shorter */
    check_refused_with(92, MF_MSG_ROLE_COUNT);
}

MF_TEST(record, refuses_what_is_larger_than_a_record_may_be)
{
    static char page[1];
    struct mf_item *it = kit_item(1);
    struct mf_msg *m = &it->msgs[0];
    struct mf_slice content = m->content;
    struct mf_buf b;

    as_loop();
    mf_buf_init(&b);
    m->content = mf_slice_of(page, MF_RECORD_MAX_BYTES); /* never read */
    MF_CHECK_INT(mf_record_size(it), SIZE_MAX);
    MF_CHECK_INT(mf_record_pack(&b, it), MF_ETOOBIG);
    m->content.n = SIZE_MAX;
    MF_CHECK_INT(mf_record_pack(&b, it), MF_ETOOBIG);
    MF_CHECK_INT(b.n, 0);
    m->content = content;
    mf_item_unref(it);
}

MF_TEST(record, is_clean_after_each_failed_allocation)
{
    struct mf_item *it = kit_big_item(1, 50, 20), *back = NULL;
    struct mf_buf b;
    struct mf_slice rec;
    size_t n = 0;
    int rc;

    as_loop();
    mf_buf_init(&b);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_record_pack(&b, it), MF_ENOMEM);
    mf_test_fail_nth(0);
    mf_buf_fini(&b);
    rec = packed(&b, it);
    do {
        mf_test_fail_nth(++n);
        rc = mf_record_unpack(rec, &back);
        MF_CHECK(rc == 0 || rc == MF_ENOMEM);
    } while (rc < 0);
    mf_test_fail_nth(0);
    MF_CHECK_INT(n, 3); /* the messages, the item, none */
    mf_item_unref(back);
    mf_item_unref(it);
    mf_buf_fini(&b);
}
