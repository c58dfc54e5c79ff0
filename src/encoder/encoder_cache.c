/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ladder's result on disk, little-endian:
 *     0  "MFENCOD1"
 *     8  print of options, texts and this machine's kernels, u64
 *    16  revision of the weights, 64 bytes
 *    80  names of the two kernels, 32 bytes each
 *   144  smallest and mean cosine, f32 each
 *   152  absmax, f32 each; as many as the model has
 *     .  FNV-1a of all that, u64
 * Its length follows from the model; nothing in it says how much to read.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "encoder/encoder_in.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC       "MFENCOD1"
#define MAGIC_LEN   8
#define AT_PRINT    8
#define AT_REVISION 16
#define AT_KERNELS  80
#define KERNEL_LEN  32
#define AT_COSINES  144
#define AT_ABSMAX   152
#define SUM_LEN     8

#define FNV_START 0xcbf29ce484222325U
#define FNV_PRIME 0x100000001b3U

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
    const unsigned char *c = p;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ c[i]) * FNV_PRIME;
    }
    return h;
}

static uint64_t fnv_ids(uint64_t h, const struct mf_ids *ids)
{
    h = fnv(h, &ids->n, sizeof(ids->n));
    if (ids->n == 0) {
        return h;
    }
    h = fnv(h, ids->at, (ids->n + 1) * sizeof(*ids->at));
    return fnv(h, ids->id + ids->at[0],
               (ids->at[ids->n] - ids->at[0]) * sizeof(*ids->id));
}

/* A choice is good for the kernels it was made among. */
static uint64_t fnv_machine(uint64_t h, const struct mf_frame *f)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->is_supported()) {
            h = fnv(h, all[i]->name, strlen(all[i]->name) + 1);
        }
    }
    return fnv(h, f->rows->name, strlen(f->rows->name) + 1);
}

static uint64_t print_of(const struct mf_frame *f, const struct mf_encoder_options *opt)
{
    const float bounds[] = {MF_GUARD_MIN_INT8, MF_GUARD_MIN_HALF};
    const uint32_t how[] = {(uint32_t)opt->wish, (uint32_t)f->info.pooling,
                            f->info.window};
    uint64_t h = fnv(FNV_START, MAGIC, MAGIC_LEN);

    h = fnv(h, bounds, sizeof(bounds));
    h = fnv(h, how, sizeof(how));
    h = fnv(h, f->info.revision, sizeof(f->info.revision));
    h = fnv_ids(h, &opt->calibration);
    h = fnv_ids(h, &opt->guard);
    return fnv_machine(h, f);
}

bool mf_cache_key_init(struct mf_cache_key *k, const struct mf_frame *f,
                       const struct mf_encoder_options *opt)
{
    int n;

    /* f32 has nothing to find out but which kernel is fastest. */
    if (opt->cache_dir == NULL || opt->wish == MF_WISH_F32) {
        return false;
    }
    k->print = print_of(f, opt);
    n = snprintf(k->path, sizeof(k->path), "%s/%.16s-%s-%016llx.encoder",
                 opt->cache_dir, f->info.revision, f->rows->name,
                 (unsigned long long)k->print);
    return n > 0 && (size_t)n < sizeof(k->path) - 32; /* room for a temporary's name */
}

static size_t file_bytes(const struct mf_frame *f)
{
    return AT_ABSMAX + mf_absmax_count(f) * sizeof(float) + SUM_LEN;
}

static void put_f32(char *at, float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    mf_put_u32(at, bits);
}

static float get_f32(const char *at)
{
    uint32_t bits = mf_get_u32(at);
    float x;

    memcpy(&x, &bits, sizeof(x));
    return x;
}

static const struct mf_linear_ops *kernel_named(const char *name)
{
    const struct mf_linear_ops *const *all = mf_linear_all();

    for (size_t i = 0; all[i] != NULL; i++) {
        if (all[i]->is_supported() && strncmp(all[i]->name, name, KERNEL_LEN) == 0) {
            return all[i];
        }
    }
    return NULL;
}

static bool read_choice(const char *p, struct mf_choice *c)
{
    c->main = kernel_named(p + AT_KERNELS);
    c->down = kernel_named(p + AT_KERNELS + KERNEL_LEN);
    c->gops = 0;
    c->guard_min = get_f32(p + AT_COSINES);
    c->guard_mean = get_f32(p + AT_COSINES + sizeof(float));
    return c->main != NULL && c->down != NULL && isfinite(c->guard_min) &&
           isfinite(c->guard_mean);
}

static bool read_absmax(const char *p, const struct mf_frame *f, float *absmax)
{
    for (size_t i = 0; i < mf_absmax_count(f); i++) {
        absmax[i] = get_f32(p + AT_ABSMAX + i * sizeof(float));
        if (!isfinite(absmax[i]) || absmax[i] < 0) {
            return false;
        }
    }
    return true;
}

static bool is_ours(const char *p, const struct mf_cache_key *k,
                    const struct mf_frame *f)
{
    size_t n = file_bytes(f) - SUM_LEN;

    return memcmp(p, MAGIC, MAGIC_LEN) == 0 && mf_get_u64(p + AT_PRINT) == k->print &&
           strncmp(p + AT_REVISION, f->info.revision, MF_REVISION_LEN) == 0 &&
           mf_get_u64(p + n) == fnv(FNV_START, p, n);
}

/* True when the file is exactly as long as it has to be. */
static bool read_file(const char *path, char *p, size_t n)
{
    FILE *in = fopen(path, "rbe");
    bool is_whole;

    if (in == NULL) {
        return false;
    }
    is_whole = fread(p, 1, n, in) == n && fgetc(in) == EOF;
    (void)fclose(in); /* only read from */
    return is_whole;
}

bool mf_cache_load(const struct mf_cache_key *k, const struct mf_frame *f,
                   struct mf_choice *c, float *absmax)
{
    size_t n = file_bytes(f);
    char *p;
    bool is_good;

    if (access(k->path, F_OK) < 0) {
        return false;
    }
    p = mf_malloc(n);
    if (p == NULL) {
        return false;
    }
    is_good = read_file(k->path, p, n) && is_ours(p, k, f) && read_choice(p, c) &&
              read_absmax(p, f, absmax);
    mf_free(p);
    if (!is_good) {
        mf_log_warn("encoder_cache_damaged", "path=%s what=\"made anew\"", k->path);
    }
    return is_good;
}

/* Filled up with zeros; a name of all `cap` bytes has none behind it. */
static void put_name(char *at, const char *name, size_t cap)
{
    for (size_t i = 0; i < cap && name[i] != '\0'; i++) {
        at[i] = name[i];
    }
}

static void fill_file(char *p, const struct mf_cache_key *k, const struct mf_frame *f,
                      const struct mf_choice *c, const float *absmax)
{
    size_t n = file_bytes(f) - SUM_LEN;

    memset(p, 0, AT_ABSMAX);
    put_name(p, MAGIC, MAGIC_LEN);
    mf_put_u64(p + AT_PRINT, k->print);
    put_name(p + AT_REVISION, f->info.revision, MF_REVISION_LEN);
    put_name(p + AT_KERNELS, c->main->name, KERNEL_LEN);
    put_name(p + AT_KERNELS + KERNEL_LEN, c->down->name, KERNEL_LEN);
    put_f32(p + AT_COSINES, c->guard_min);
    put_f32(p + AT_COSINES + sizeof(float), c->guard_mean);
    for (size_t i = 0; i < mf_absmax_count(f); i++) {
        put_f32(p + AT_ABSMAX + i * sizeof(float), absmax[i]);
    }
    mf_put_u64(p + n, fnv(FNV_START, p, n));
}

static bool write_file(const char *path, const char *p, size_t n)
{
    FILE *out = fopen(path, "wbe");
    bool is_written;

    if (out == NULL) {
        return false;
    }
    is_written = fwrite(p, 1, n, out) == n;
    return fclose(out) == 0 && is_written;
}

void mf_cache_save(const struct mf_cache_key *k, const struct mf_frame *f,
                   const struct mf_choice *c, const float *absmax)
{
    size_t n = file_bytes(f);
    char temporary[sizeof(k->path) + 32];
    char *p = mf_malloc(n);

    if (p == NULL || strlen(c->main->name) >= KERNEL_LEN ||
        strlen(c->down->name) >= KERNEL_LEN) {
        mf_free(p);
        return;
    }
    fill_file(p, k, f, c, absmax);
    (void)snprintf(temporary, sizeof(temporary), "%s.%ld", k->path, (long)getpid());
    if (!write_file(temporary, p, n) || rename(temporary, k->path) < 0) {
        mf_log_warn("encoder_cache_unwritten", "path=%s errno=%d", k->path, errno);
        (void)unlink(temporary);
    }
    mf_free(p);
}
