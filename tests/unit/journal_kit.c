/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/journal_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 60000

unsigned kit_n_done;

int kit_count_bytes(struct mf_item *it, const char *reason, size_t bytes, void *arg)
{
    struct kit_rounds *r = arg;

    as_loop();
    r->is_ascending = r->n == 0 ? true : r->is_ascending && it->seq > r->last;
    r->last = it->seq;
    r->bytes += bytes;
    r->n_wrong += kit_is_right(it) ? 0 : 1;
    if (r->n < mf_countof(r->seqs)) {
        r->seqs[r->n] = it->seq;
    }
    r->n++;
    if (reason != NULL) {
        r->n_parked++;
        (void)snprintf(r->last_reason, sizeof(r->last_reason), "%s", reason);
    }
    mf_item_unref(it);
    return 0;
}

int kit_refuse_second(struct mf_item *it, MF_UNUSED const char *reason,
                      MF_UNUSED size_t bytes, MF_UNUSED void *arg)
{
    uint64_t seq = it->seq;

    as_loop();
    mf_item_unref(it);
    return seq == 2 ? -1234 : 0;
}

int kit_count(struct mf_item *it, const char *reason, void *arg)
{
    return kit_count_bytes(it, reason, 0, arg);
}

void kit_config(struct mf_journal_config *cfg, const char *dir)
{
    *cfg = (struct mf_journal_config){.dir = dir,
                                      .max_bytes = 1 << 30,
                                      .max_commit_rounds = 1000,
                                      .max_commit_bytes = 8 << 20,
                                      .checkpoint_pages = 1000};
}

static void on_fatal(const struct mf_err *err, void *arg)
{
    struct kit *k = arg;

    MF_ASSERT(err->code == MF_EFATAL && err->msg[0] != '\0');
    k->n_fatal++;
}

void kit_open(struct kit *k, const char *dir)
{
    static const struct mf_loop_config loop = {.pool_threads = 4};
    struct mf_err err = {0};

    k->n_fatal = 0;
    k->is_closed = false;
    if (k->cfg.dir == NULL) {
        kit_config(&k->cfg, dir);
    }
    MF_ASSERT(mf_loop_open(&k->loop, &loop, &err) == 0);
    if (mf_journal_open(&k->j, k->loop, &k->cfg, on_fatal, k, &err) < 0) {
        fail_msg("%s", err.msg);
    }
}

bool kit_run_until(struct kit *k, const bool *flag)
{
    return mf_loop_run_until(k->loop, flag, WAIT_MS);
}

static void on_closed(void *arg)
{
    ((struct kit *)arg)->is_closed = true;
}

void kit_close(struct kit *k)
{
    as_loop();
    mf_journal_close(k->j, on_closed, k);
    MF_CHECK(kit_run_until(k, &k->is_closed));
    MF_CHECK_OK(mf_loop_close(k->loop));
}

static void on_appended(struct mf_journal_append *a, int rc)
{
    struct kit_append *ka = mf_container_of(a, struct kit_append, a);

    MF_ASSERT(!ka->is_done);
    ka->rc = rc;
    ka->is_done = true;
    ka->order = kit_n_done++;
}

int kit_append(struct kit *k, struct kit_append *a, uint64_t seq)
{
    struct mf_item *it = kit_item(seq);
    int rc;

    as_loop();
    *a = (struct kit_append){.a = {.item = it, .done = on_appended}, .rc = 1};
    rc = mf_journal_append(k->j, &a->a);
    MF_ASSERT(!a->is_done);
    mf_item_unref(it); /* the journal has its own reference */
    return rc;
}

int kit_append_and_wait(struct kit *k, uint64_t seq)
{
    struct kit_append a;
    int rc = kit_append(k, &a, seq);

    if (rc < 0) {
        return rc;
    }
    MF_CHECK(kit_run_until(k, &a.is_done));
    return a.rc;
}

struct waiting_erase {
    struct mf_journal_erase e;
    int rc;
    bool is_done;
};

static void on_erased(struct mf_journal_erase *e, int rc)
{
    struct waiting_erase *w = mf_container_of(e, struct waiting_erase, e);

    w->rc = rc;
    w->is_done = true;
}

int kit_erase_and_wait(struct kit *k, const uint64_t *seqs, size_t n)
{
    struct waiting_erase w = {.e = {.seqs = seqs, .n = n, .done = on_erased}};

    as_loop();
    mf_journal_erase(k->j, &w.e);
    MF_ASSERT(!w.is_done);
    MF_CHECK(kit_run_until(k, &w.is_done));
    return w.rc;
}

struct waiting_park {
    struct mf_journal_park p;
    int rc;
    bool is_done;
};

static void on_parked(struct mf_journal_park *p, int rc)
{
    struct waiting_park *w = mf_container_of(p, struct waiting_park, p);

    w->rc = rc;
    w->is_done = true;
}

int kit_park_and_wait(struct kit *k, uint64_t seq, const char *reason)
{
    struct waiting_park w = {.p = {.seq = seq, .reason = reason, .done = on_parked}};

    as_loop();
    mf_journal_park(k->j, &w.p);
    MF_ASSERT(!w.is_done);
    MF_CHECK(kit_run_until(k, &w.is_done));
    return w.rc;
}

pid_t kit_child_start(int *fd, const char *verb, const char *dir)
{
    int ends[2];
    pid_t pid;

    MF_ASSERT(pipe(ends) == 0);
    pid = fork();
    MF_ASSERT(pid >= 0);
    if (pid == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        (void)execl(MF_JOURNAL_CHILD, "journal_child", verb, dir, (char *)NULL);
        _exit(127);
    }
    (void)close(ends[1]);
    *fd = ends[0];
    return pid;
}

void kit_child_kill(pid_t pid, int fd)
{
    MF_ASSERT(kill(pid, SIGKILL) == 0);
    MF_ASSERT(waitpid(pid, NULL, 0) == pid);
    (void)close(fd);
}

int kit_child(char *out, size_t cap, const char *verb, const char *dir)
{
    int fd, status;
    pid_t pid = kit_child_start(&fd, verb, dir);
    size_t at = 0;
    ssize_t got;

    while ((got = read(fd, out + at, cap - 1 - at)) > 0) {
        at += (size_t)got;
    }
    out[at] = '\0';
    (void)close(fd);
    MF_ASSERT(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* "rounds parked wrong bytes next", as the child's replay prints them. */
int kit_scan(const char *line, unsigned long long out[5])
{
    int n = 0;
    char *end;

    while (n < 5) {
        out[n] = strtoull(line, &end, 10);
        if (end == line) {
            break;
        }
        line = end;
        n++;
    }
    return n;
}
