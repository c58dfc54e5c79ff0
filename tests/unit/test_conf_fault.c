/* SPDX-License-Identifier: Apache-2.0 */
/* Memory ends at every place in turn: a clean error, nothing left behind. */
#include "lib/test_file.h"
#include "unit/conf_kit.h"

#include <stdio.h>
#include <sys/stat.h>

MF_TEST(conf_fault, defaults_fail_cleanly)
{
    bool is_done = false;

    for (size_t nth = 1; !is_done; nth++) {
        struct mf_conf c;
        int rc;

        mf_test_fail_nth(nth);
        rc = mf_conf_init(&c);
        is_done = !mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, is_done ? 0 : MF_ENOMEM);
        mf_conf_fini(&c);
    }
}

static int read_all(struct conf_kit *k, const char *dir, const char *path)
{
    char *const env[] = {(char[]){"MEMFUSE__DATA__DIR=e"}, NULL};
    int rc = mf_conf_read_file(&k->c, path, &k->r);

    if (rc == 0) {
        rc = mf_conf_read_dir(&k->c, dir, &k->r);
    }
    if (rc == 0) {
        rc = mf_conf_read_env(&k->c, env, &k->r);
    }
    return rc < 0 ? rc : mf_conf_set(&k->c, "data.dir=s", &k->r);
}

MF_TEST(conf_fault, readers_fail_cleanly)
{
    const char *dir = mf_test_tmpdir(), *path;
    bool is_done = false;
    size_t n_failed = 0;
    char sub[256];

    (void)snprintf(sub, sizeof(sub), "%s/d", dir);
    MF_CHECK_OK(mkdir(sub, 0700));
    mf_test_text(sub, "x.yaml", "data: {dir: d}\n");
    path = mf_test_text(dir, "f.yaml",
                        "server:\n  host: h\n  port: 1\nlog: {level: warn}\n");
    for (size_t nth = 1; !is_done; nth++) {
        struct conf_kit k;
        int rc;

        conf_kit_open(&k);
        mf_test_fail_nth(nth);
        rc = read_all(&k, sub, path);
        is_done = !mf_test_has_failed();
        mf_test_fail_nth(0);
        MF_CHECK_INT(rc, is_done ? 0 : MF_ENOMEM);
        MF_CHECK_INT(k.r.n_problems, 0);
        n_failed += !is_done;
        conf_kit_close(&k);
    }
    MF_CHECK(n_failed >= 6);
}

MF_TEST(conf_fault, a_problem_is_counted_though_its_words_have_no_room)
{
    struct conf_kit k;

    conf_kit_open(&k);
    mf_test_fail_nth(1);
    MF_CHECK_INT(mf_conf_check(&k.c, &k.r), 0);
    k.c.flush_priority_levels = 4;
    MF_CHECK_INT(mf_conf_check(&k.c, &k.r), MF_EINVAL);
    MF_CHECK(mf_test_has_failed());
    mf_test_fail_nth(0);
    MF_CHECK_INT(k.r.n_problems, 1);
    MF_CHECK_INT(mf_buf_status(&k.r.text), MF_ENOMEM);
    conf_kit_close(&k);
}
