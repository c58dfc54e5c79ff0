/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/twin_in.h"

#include <string.h>

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct mf_npu_twin_faults faults;
    uint64_t n_jobs, generation;
    size_t n_hanging;
} world = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

void mf_npu_twin_set_faults(const struct mf_npu_twin_faults *f)
{
    pthread_mutex_lock(&world.lock);
    world.faults = f != NULL ? *f : (struct mf_npu_twin_faults){.wrong_every = 0};
    world.n_jobs = 0;
    world.generation++;
    pthread_cond_broadcast(&world.changed);
    while (world.n_hanging > 0) {
        pthread_cond_wait(&world.changed, &world.lock);
    }
    pthread_mutex_unlock(&world.lock);
}

size_t mf_npu_twin_n_hanging(void)
{
    size_t n;

    pthread_mutex_lock(&world.lock);
    n = world.n_hanging;
    pthread_mutex_unlock(&world.lock);
    return n;
}

static bool is_nth(uint64_t n, uint64_t every)
{
    return every > 0 && n % every == 0;
}

void mf_twin_fate(struct twin_fate *out)
{
    const struct mf_npu_twin_faults *f = &world.faults;

    pthread_mutex_lock(&world.lock);
    world.n_jobs++;
    *out = (struct twin_fate){.is_wrong = is_nth(world.n_jobs, f->wrong_every),
                              .fails = is_nth(world.n_jobs, f->fail_every),
                              .hangs = f->hang_at > 0 && world.n_jobs == f->hang_at,
                              .skips_compute = f->skips_compute,
                              .skips_input_sync = f->skips_input_sync,
                              .delay_us = f->delay_us,
                              .nth = world.n_jobs,
                              .generation = world.generation};
    /* Counted here: whoever sets the faults anew now waits for it. */
    world.n_hanging += out->hangs ? 1 : 0;
    pthread_mutex_unlock(&world.lock);
}

void mf_twin_hang(const struct twin_fate *fate)
{
    pthread_mutex_lock(&world.lock);
    while (world.generation == fate->generation) {
        pthread_cond_wait(&world.changed, &world.lock);
    }
    pthread_mutex_unlock(&world.lock);
}

void mf_twin_hang_begins(void)
{
    pthread_mutex_lock(&world.lock);
    world.n_hanging++;
    pthread_mutex_unlock(&world.lock);
}

void mf_twin_hang_over(void)
{
    pthread_mutex_lock(&world.lock);
    world.n_hanging--;
    pthread_cond_broadcast(&world.changed);
    pthread_mutex_unlock(&world.lock);
}
