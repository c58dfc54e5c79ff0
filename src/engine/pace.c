/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_held_up(const struct mf_pace *p, const struct mf_pace_view *v, double ms)
{
    uint64_t n = v->n_commits - p->n_commits;
    /* A look at /proc that failed reads 0: no waiting, not a wrapped one. */
    double delay_ms =
        v->delay_ns > p->delay_ns ? (double)(v->delay_ns - p->delay_ns) / 1e6 : 0;

    return delay_ms > ms * MF_PACE_SHORT_SHARE ||
           (n > 0 && (v->commits_us - p->commits_us) / n > MF_PACE_SLOW_COMMIT_US);
}

static void smooth_rate(struct mf_pace *p, const struct mf_pace_view *v, double ms)
{
    double rate = (double)(v->n_work - p->n_work) * 1000 / ms;

    p->rate += (rate - p->rate) * mf_min(ms / MF_PACE_SMOOTH_MS, 1.0);
}

static bool has_ended(struct mf_pace *p, const struct mf_pace_view *v)
{
    if (p->since_ms != 0 && (v->full_share >= MF_PACE_FULL_SHARE ||
                             v->now_ms - p->since_ms >= v->max_wait_ms)) {
        p->is_catching_up = true;
    } else if (v->full_share < MF_PACE_CAUGHT_SHARE) {
        p->is_catching_up = false;
    }
    return p->is_catching_up;
}

bool mf_pace_stands_back(struct mf_pace *p, const struct mf_pace_view *v)
{
    double ms = (double)(v->now_ms - p->at_ms);
    bool was_back = p->since_ms != 0;
    bool is_back;

    if (ms <= 0) {
        return was_back;
    }
    smooth_rate(p, v, ms);
    if (p->rate > MF_PACE_BUSY_RATE) {
        p->busy_ms = v->now_ms;
    }
    /* Once it stands back the way is free again: the rate alone keeps it so. */
    is_back = !has_ended(p, v) &&
              (was_back ? v->now_ms - p->busy_ms < MF_PACE_HOLD_MS
                        : p->busy_ms == v->now_ms && is_held_up(p, v, ms));
    p->at_ms = v->now_ms;
    p->n_work = v->n_work;
    p->delay_ns = v->delay_ns;
    p->n_commits = v->n_commits;
    p->commits_us = v->commits_us;
    if (!is_back) {
        p->since_ms = 0;
    } else if (!was_back) {
        p->since_ms = v->now_ms;
    }
    return is_back;
}

uint64_t mf_pace_thread_delay_ns(void)
{
    char text[128];
    char *end;
    ssize_t n;
    int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10);
}
