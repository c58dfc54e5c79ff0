/* SPDX-License-Identifier: Apache-2.0 */
/* Contexts and commands: EXEC_CMD puts a command in line, the context's thread runs one
 * after the other and moves its timeline on. */
#include "kemu.h"

#include <drm/amdxdna_accel.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#define LINE          64U /* commands in line at once */
#define STATE_MASK    0xfU
#define COMPLETED     4U
#define FAILED        5U
#define ABORTED       6U
#define SUBMITTED     7U
#define OPCODE_RUN    3U
#define MAGIC         0x31554d45U /* "EMU1" */
#define MAX_DIM       65536U
#define PROGRAM_BYTES 64U
#define ARG_WORDS     11U /* the argument block: see read_args */
#define BF16          2U
#define F32           4U
#define NS_PER_S      1000000000LL

/* The kernel's arguments as they stand in the packet. */
struct args {
    uint64_t opcode, program, a, b, c;
    uint32_t n_words;
};

struct context {
    bool is_used;  /* until its thread has ended */
    bool is_ready; /* configured */
    bool is_ending;
    pthread_cond_t work;
    struct kemu_bo *line[LINE];
    unsigned line_begin, line_length;
    uint64_t n_submitted, n_ended; /* the points of its timeline */
    uint64_t n_asked, n_begun;     /* with those that were not taken */
    struct kemu_faults faults;
};

static struct context contexts[KEMU_MAX_CONTEXTS + 1]; /* by handle; 0 is none */
static struct context *last;
static unsigned long n_waits;
static pthread_cond_t ended; /* by the monotonic clock */

__attribute__((constructor)) static void init(void)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static struct context *context_get(uint64_t handle)
{
    bool is_known = handle > 0 && handle <= KEMU_MAX_CONTEXTS &&
                    contexts[handle].is_used && !contexts[handle].is_ending;

    return is_known ? &contexts[handle] : NULL;
}

const struct kemu_faults *kemu_context_faults(void)
{
    static const struct kemu_faults none;

    return last == NULL ? &none : &last->faults;
}

bool kemu_context_is_ready(void)
{
    return last != NULL && last->is_ready;
}

/* ---- one command ---- */

static bool read_args(const struct kemu_bo *packet, struct args *out)
{
    const uint32_t *words = (const uint32_t *)(const void *)packet->host;
    uint32_t n_masks = 1 + ((words[0] >> 10) & 3U), count = (words[0] >> 12) & 0x7ffU;
    const unsigned char *block = (const unsigned char *)&words[1 + n_masks];

    if (count < n_masks + ARG_WORDS) {
        return false;
    }
    memcpy(&out->opcode, block, sizeof(out->opcode));
    memcpy(&out->program, block + 0x08, sizeof(out->program));
    memcpy(&out->n_words, block + 0x10, sizeof(out->n_words));
    memcpy(&out->a, block + 0x14, sizeof(out->a));
    memcpy(&out->b, block + 0x1c, sizeof(out->b));
    memcpy(&out->c, block + 0x24, sizeof(out->c));
    return true;
}

static unsigned char *seen(const struct kemu_bo *bo, uint64_t address)
{
    return bo->device + (address - bo->address);
}

/* What the device reads first: its copy, which is NaN when nobody synced it. */
static bool read_program(const struct args *args, struct kemu_gemm *g)
{
    struct kemu_bo *bo = kemu_bo_hold(args->program, PROGRAM_BYTES);
    uint32_t words[PROGRAM_BYTES / sizeof(uint32_t)] = {0};

    if (bo == NULL) {
        kemu_trace("no program at %#llx", (unsigned long long)args->program);
        return false;
    }
    memcpy(words, seen(bo, args->program), sizeof(words));
    kemu_bo_release(bo);
    kemu_trace("program %#x: %ux%ux%u, epilogue %u, layout %u", words[0], words[1],
               words[2], words[3], words[4], words[5]);
    *g = (struct kemu_gemm){words[1], words[2], words[3], words[4],
                            words[5], NULL,     NULL,     NULL};
    return args->opcode == OPCODE_RUN && words[0] == MAGIC && args->n_words != 0 &&
           g->m - 1 < MAX_DIM && g->k - 1 < MAX_DIM && g->n - 1 < MAX_DIM &&
           g->epilogue <= 1 && g->layout <= 1;
}

static void spoil(const struct kemu_gemm *g, const struct kemu_faults *f, uint64_t nth)
{
    if (kemu_faults_has(f, "wrong", nth)) {
        g->c[g->n / 2] += 1 + 2 * g->c[g->n / 2];
    }
    if (kemu_faults_has(f, "zeros", nth)) {
        memset(g->c, 0, (size_t)g->m * g->n * F32);
    }
}

/* Without the lock while it computes. */
static bool multiply(const struct args *args, struct kemu_gemm *g,
                     const struct kemu_faults *f, uint64_t nth)
{
    struct kemu_bo *a = kemu_bo_hold(args->a, (uint64_t)g->m * g->k * BF16);
    struct kemu_bo *b = kemu_bo_hold(args->b, (uint64_t)g->k * g->n * BF16);
    struct kemu_bo *c = kemu_bo_hold(args->c, (uint64_t)g->m * g->n * F32);
    bool is_done = false;

    if (a != NULL && b != NULL && c != NULL) {
        g->a = (const uint16_t *)(const void *)seen(a, args->a);
        g->b = (const uint16_t *)(const void *)seen(b, args->b);
        g->c = (float *)(void *)seen(c, args->c);
        (void)pthread_mutex_unlock(&kemu_lock);
        is_done = kemu_gemm(g);
        (void)pthread_mutex_lock(&kemu_lock);
        spoil(g, f, nth);
    }
    kemu_bo_release(a);
    kemu_bo_release(b);
    kemu_bo_release(c);
    return is_done;
}

static void end_in(const struct kemu_bo *packet, uint32_t state)
{
    uint32_t *header = (uint32_t *)(void *)packet->host;

    __atomic_store_n(header, (*header & ~STATE_MASK) | state, __ATOMIC_RELEASE);
}

static uint32_t run(const struct context *context, const struct kemu_bo *packet)
{
    const struct kemu_faults *f = &context->faults;
    uint64_t nth = context->n_begun;
    struct args args;
    struct kemu_gemm g;

    if (kemu_faults_has(f, "abort", nth)) {
        return ABORTED;
    }
    if (kemu_faults_has(f, "error", nth) || !read_args(packet, &args) ||
        !read_program(&args, &g) || !multiply(&args, &g, f, nth)) {
        return FAILED;
    }
    return COMPLETED;
}

/* ---- the thread of a context ---- */

static void pause_ms(uint64_t ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};

    (void)pthread_mutex_unlock(&kemu_lock);
    (void)nanosleep(&t, NULL);
    (void)pthread_mutex_lock(&kemu_lock);
}

static struct kemu_bo *take(struct context *c)
{
    struct kemu_bo *packet = c->line[c->line_begin];

    c->line_begin = (c->line_begin + 1) % LINE;
    c->line_length--;
    return packet;
}

static void run_next(struct context *c)
{
    struct kemu_bo *packet = take(c);
    uint64_t delay_ms = kemu_faults_number(&c->faults, "delay");

    c->n_begun++;
    while (!c->is_ending && kemu_faults_has(&c->faults, "never", c->n_begun)) {
        (void)pthread_cond_wait(&c->work, &kemu_lock);
    }
    if (delay_ms > 0) {
        pause_ms(delay_ms);
    }
    if (!c->is_ending) {
        uint32_t state = run(c, packet);

        end_in(packet, state);
        kemu_trace("command %llu ended in state %u", (unsigned long long)c->n_begun,
                   state);
    }
    kemu_bo_release(packet);
    c->n_ended++;
    (void)pthread_cond_broadcast(&ended);
}

static void *run_line(void *arg)
{
    struct context *c = arg;

    (void)pthread_mutex_lock(&kemu_lock);
    while (!c->is_ending) {
        if (c->line_length > 0) {
            run_next(c);
        } else {
            (void)pthread_cond_wait(&c->work, &kemu_lock);
        }
    }
    while (c->line_length > 0) {
        kemu_bo_release(take(c));
    }
    c->is_used = false;
    (void)pthread_mutex_unlock(&kemu_lock);
    return NULL;
}

int kemu_context_create(void *arg)
{
    struct amdxdna_drm_create_hwctx *a = arg;
    struct context made = {.is_used = true, .work = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    uint32_t i = 1;

    kemu_faults_read(&made.faults);
    kemu_trace("create context: %u tiles, faults '%s'", a->num_tiles,
               made.faults.words);
    if (kemu_faults_has(&made.faults, "refuse-context", 0)) {
        return kemu_fail(EINVAL);
    }
    while (i <= KEMU_MAX_CONTEXTS && contexts[i].is_used) {
        i++;
    }
    if (i > KEMU_MAX_CONTEXTS) {
        return kemu_fail(ENOSPC);
    }
    contexts[i] = made;
    if (pthread_create(&thread, NULL, run_line, &contexts[i]) != 0) {
        contexts[i].is_used = false;
        return kemu_fail(ENOMEM);
    }
    (void)pthread_detach(thread);
    last = &contexts[i];
    a->handle = i;
    a->syncobj_handle = i;
    a->umq_doorbell = 0;
    return 0;
}

/* Which image serves: there is but one. */
int kemu_context_config(void *arg)
{
    const struct amdxdna_drm_config_hwctx *a = arg;
    struct context *c = context_get(a->handle);

    if (c == NULL) {
        return kemu_fail(EINVAL);
    }
    c->is_ready = true;
    return 0;
}

int kemu_context_destroy(void *arg)
{
    const struct amdxdna_drm_destroy_hwctx *a = arg;
    struct context *c = context_get(a->handle);

    kemu_trace("destroy context %u", a->handle);
    if (c == NULL) {
        return kemu_fail(EINVAL);
    }
    c->is_ending = true;
    (void)pthread_cond_signal(&c->work);
    if (last == c) {
        last = NULL;
    }
    return 0;
}

/* ---- starting ---- */

/* What EXEC_CMD itself makes of a fault; 0: it goes on. */
static int refuse_start(struct context *c)
{
    c->n_asked++;
    while (kemu_faults_has(&c->faults, "stuck", c->n_asked)) {
        (void)pthread_cond_wait(&c->work, &kemu_lock);
    }
    if (c->line_length == LINE) {
        return kemu_fail(EBUSY);
    }
    return kemu_faults_has(&c->faults, "refuse-start", c->n_asked) ? kemu_fail(EINVAL)
                                                                   : 0;
}

int kemu_cmd_exec(void *arg)
{
    struct amdxdna_drm_exec_cmd *a = arg;
    struct kemu_bo *packet = kemu_bo_get(a->cmd_handles);
    struct context *c = context_get(a->hwctx);

    if (a->cmd_count != 1 || packet == NULL || packet->type != AMDXDNA_BO_CMD ||
        c == NULL) {
        return kemu_fail(EINVAL);
    }
    if (refuse_start(c) < 0) {
        return -1;
    }
    packet->n_users++;
    end_in(packet, SUBMITTED);
    c->line[(c->line_begin + c->line_length) % LINE] = packet;
    c->line_length++;
    a->seq = ++c->n_submitted;
    kemu_trace("exec bo %u as %llu, %u arguments", packet->handle,
               (unsigned long long)a->seq, a->arg_count);
    (void)pthread_cond_signal(&c->work);
    return 0;
}

/* ---- waiting ---- */

static int wait_until(uint64_t context, uint64_t point, int64_t until_ns)
{
    struct timespec t = {until_ns / NS_PER_S, until_ns % NS_PER_S};
    const struct context *c = context_get(context);
    uint64_t every;
    int rc = 0;

    if (c == NULL) {
        return kemu_fail(EINVAL);
    }
    n_waits++;
    every = kemu_faults_number(&c->faults, "eintr");
    if (every > 0 && n_waits % every == 0) {
        kemu_trace("wait %lu is interrupted", n_waits);
        return kemu_fail(EINTR);
    }
    while (c->n_ended < point && rc == 0) {
        rc = pthread_cond_timedwait(&ended, &kemu_lock, &t);
    }
    return c->n_ended >= point ? 0 : kemu_fail(ETIME);
}

int kemu_cmd_wait_timeline(void *arg)
{
    const struct drm_syncobj_timeline_wait *a = arg;
    const uint32_t *handles = (const uint32_t *)(uintptr_t)a->handles;
    const uint64_t *points = (const uint64_t *)(uintptr_t)a->points;

    if (a->count_handles != 1) {
        return kemu_fail(EINVAL);
    }
    return wait_until(handles[0], points[0], a->timeout_nsec);
}

int kemu_cmd_wait(void *arg)
{
    const struct amdxdna_drm_wait_cmd *a = arg;
    struct timespec now;
    int64_t until = INT64_MAX;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    if (a->timeout != 0) {
        until = now.tv_sec * NS_PER_S + now.tv_nsec + a->timeout * 1000000LL;
    }
    return wait_until(a->hwctx, a->seq, until);
}
