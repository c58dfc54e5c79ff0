/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xrt/device.h"

#define FNV_START 14695981039346656037ULL
#define FNV_PRIME 1099511628211ULL

static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * FNV_PRIME;
}

static struct mf_xrt_kept **bucket_of(struct mf_npu_dev *dev,
                                      const struct mf_npu_op *op)
{
    uint64_t hash = FNV_START;

    hash = mix(hash, (uint64_t)(uintptr_t)op->plan >> 4);
    hash = mix(hash, (uint64_t)(uintptr_t)op->a >> 4);
    hash = mix(hash, (uint64_t)(uintptr_t)op->w >> 4);
    hash = mix(hash, (uint64_t)(uintptr_t)op->c >> 4);
    hash = mix(hash, op->a_at);
    hash = mix(hash, op->c_at);
    return &dev->buckets[(hash >> 32) % MF_XRT_N_BUCKETS];
}

static bool is_same(const struct mf_npu_op *x, const struct mf_npu_op *y)
{
    return x->plan == y->plan && x->a == y->a && x->w == y->w && x->c == y->c &&
           x->a_at == y->a_at && x->c_at == y->c_at;
}

static void kept_free(struct mf_xrt_kept *kept)
{
    if (kept->run != NULL) {
        mf_xrt_run_free(kept->run);
    }
    if (kept->a_part != NULL) {
        mf_xrt_bo_free(kept->a_part);
    }
    if (kept->c_part != NULL) {
        mf_xrt_bo_free(kept->c_part);
    }
    mf_free(kept);
}

/* A run starts at the beginning of a buffer; further behind it wants a part. */
static int part_of(struct mf_npu_mem *mem, size_t at, size_t n, struct mf_xrt_bo **part,
                   struct mf_npu_err *err)
{
    return at == 0 ? 0 : mf_xrt_bo_part(mem->bo, at, n, part, err);
}

static int kept_make(struct mf_npu_dev *dev, struct mf_xrt_kept *kept,
                     struct mf_npu_err *err)
{
    const struct mf_npu_op *op = &kept->op;
    const struct mf_npu_gemm *g = &op->plan->gemm;
    size_t a_bytes = (size_t)g->m * g->k * mf_xrt_dtype_size(g->a);
    size_t c_bytes = (size_t)g->m * g->n * mf_xrt_dtype_size(g->c);
    struct mf_xrt_args args = {
        .program = op->plan->program, .b = op->w->bo, .n_words = op->plan->n_words};
    int rc = part_of(op->a, op->a_at, a_bytes, &kept->a_part, err);

    if (rc == 0) {
        rc = part_of(op->c, op->c_at, c_bytes, &kept->c_part, err);
    }
    if (rc < 0) {
        return rc;
    }
    args.a = kept->a_part != NULL ? kept->a_part : op->a->bo;
    args.c = kept->c_part != NULL ? kept->c_part : op->c->bo;
    return mf_xrt_run_new(dev->hw, &args, &kept->run, err);
}

int mf_xrt_runs_get(struct mf_npu_dev *dev, const struct mf_npu_op *op,
                    struct mf_xrt_kept **out, struct mf_npu_err *err)
{
    struct mf_xrt_kept **bucket = bucket_of(dev, op), *kept;
    int rc;

    for (kept = *bucket; kept != NULL; kept = kept->next) {
        if (is_same(&kept->op, op)) {
            *out = kept;
            return 0;
        }
    }
    if (dev->n_kept == MF_XRT_MAX_RUNS) {
        mf_xrt_runs_clear(dev); /* those in use are made again: once in a long while */
    }
    kept = mf_calloc(1, sizeof(*kept));
    if (kept == NULL) {
        return mf_npu_err_set(err, MF_ENOMEM, "out of memory for a run");
    }
    kept->op = *op;
    rc = kept_make(dev, kept, err);
    if (rc < 0) {
        kept_free(kept);
        return rc;
    }
    kept->next = *bucket;
    *bucket = kept;
    dev->n_kept++;
    *out = kept;
    return 0;
}

void mf_xrt_runs_drop(struct mf_npu_dev *dev, struct mf_xrt_kept *kept)
{
    struct mf_xrt_kept **at = bucket_of(dev, &kept->op);

    while (*at != kept) {
        at = &(*at)->next;
    }
    *at = kept->next;
    dev->n_kept--;
    kept_free(kept);
}

/* NULL: every run uses it. */
static bool uses(const struct mf_npu_op *op, const struct mf_npu_mem *mem)
{
    return mem == NULL || op->a == mem || op->w == mem || op->c == mem;
}

static void sweep_bucket(struct mf_npu_dev *dev, struct mf_xrt_kept **at,
                         const struct mf_npu_mem *mem)
{
    struct mf_xrt_kept *kept;

    while ((kept = *at) != NULL) {
        if (!uses(&kept->op, mem)) {
            at = &kept->next;
            continue;
        }
        *at = kept->next;
        dev->n_kept--;
        kept_free(kept);
    }
}

static void sweep(struct mf_npu_dev *dev, const struct mf_npu_mem *mem)
{
    for (size_t i = 0; i < MF_XRT_N_BUCKETS; i++) {
        sweep_bucket(dev, &dev->buckets[i], mem);
    }
}

void mf_xrt_runs_forget(struct mf_npu_dev *dev, const struct mf_npu_mem *mem)
{
    sweep(dev, mem);
}

void mf_xrt_runs_clear(struct mf_npu_dev *dev)
{
    sweep(dev, NULL);
}
