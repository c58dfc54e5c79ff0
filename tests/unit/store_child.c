/* SPDX-License-Identifier: Apache-2.0 */
/* Writes batches of 50 rows into the store of the folder argv[1], one after the other,
 * and a byte to stdout after each, until it is killed. */
#include "base/log.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BATCH   50
#define WAIT_MS 60000

static bool is_over;

static void on_done(struct mf_store_req *req, int rc)
{
    mf_loop_assert(req->store->loop);
    if (rc < 0 || write(STDOUT_FILENO, "+", 1) != 1) {
        exit(1);
    }
    is_over = true;
}

MF_LOOP static void write_batch(struct mf_loop *l, struct mf_store *s, uint64_t seq)
{
    static char ids[BATCH][24];
    static struct mf_store_row rows[BATCH];
    struct mf_store_write w = {
        .req = {.op = MF_STORE_WRITE_ROUNDS, .done = on_done},
        .rows = rows,
        .n_rows = BATCH,
    };

    for (size_t i = 0; i < BATCH; i++) {
        (void)snprintf(ids[i], sizeof(ids[i]), "m%llu", (unsigned long long)seq + i);
        rows[i] = (struct mf_store_row){
            .seq = seq + i,
            .user_id = MF_SLICE("u1"),
            .session_id = MF_SLICE("s1"),
            .msg = {.id = mf_slice_str(ids[i]), .content = MF_SLICE("text")},
            .search = MF_SLICE("record"),
        };
    }
    is_over = false;
    if (mf_store_submit(s, &w.req) < 0 || !mf_loop_run_until(l, &is_over, WAIT_MS)) {
        exit(1);
    }
    mf_store_req_fini(&w.req);
}

int main(int argc, char **argv)
{
    struct mf_loop_config loop_cfg = {.pool_threads = 4};
    struct mf_store_config cfg = {
        .backend = "sqlite", .readers = 1, .max_waiting = 10, .cache_bytes = 1 << 20};
    struct mf_loop *l = NULL;
    struct mf_store *s = NULL;
    uint64_t seq;

    mf_log_set_level(MF_LOG_WARN);
    cfg.dir = argc > 1 ? argv[1] : ".";
    if (mf_loop_open(&l, &loop_cfg, NULL) < 0 || mf_store_open(&s, l, &cfg, NULL) < 0) {
        return 1;
    }
    mf_loop_assert(l);
    for (seq = s->info.next_seq;; seq += BATCH) {
        write_batch(l, s, seq);
    }
}
