/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/pace.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_short(const struct mf_pace *p, const struct mf_pace_view *v, double ms)
{
    /* A look at /proc that failed reads 0: no waiting, not a wrapped one. */
    return v->delay_ns > p->delay_ns &&
           (double)(v->delay_ns - p->delay_ns) / 1e6 > ms * MF_PACE_SHORT_SHARE;
}

static bool is_busy(const struct mf_pace *p, const struct mf_pace_view *v, double ms)
{
    return (double)(v->n_added - p->n_added) * 1000 > ms * MF_PACE_BUSY_RATE;
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
    /* Once it stands back the processors are free again: the rate alone keeps it so. */
    bool is_back = !has_ended(p, v) && ms > 0 && is_busy(p, v, ms) &&
                   (was_back || is_short(p, v, ms));

    p->at_ms = v->now_ms;
    p->n_added = v->n_added;
    p->delay_ns = v->delay_ns;
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
