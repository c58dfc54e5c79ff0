/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers: what the process maps is a memfd; what the device sees is a copy. */
#include "kemu.h"

#include <drm/amdxdna_accel.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP_ADDRESS 0x4000000U
#define PAGE         4096U
#define NONE         UINT64_MAX /* "no such address" to the plugin */
#define OFFSET_SHIFT 32         /* the handle, in the offset that mmap is given */
#define POISON       0x7fc0U    /* a bf16 NaN; two of them a float's */

static struct kemu_bo bos[KEMU_MAX_BOS]; /* by handle; handle 0 is none */
static struct kemu_bo *heap;
static size_t heap_used;

static void poison(unsigned char *p, size_t n)
{
    uint16_t v = POISON;

    for (size_t i = 0; i + sizeof(v) <= n; i += sizeof(v)) {
        memcpy(p + i, &v, sizeof(v));
    }
}

struct kemu_bo *kemu_bo_get(uint64_t handle)
{
    struct kemu_bo *bo = handle < KEMU_MAX_BOS ? &bos[handle] : NULL;

    return bo != NULL && bo->is_used && !bo->is_closed ? bo : NULL;
}

static struct kemu_bo *take_free(void)
{
    for (uint32_t i = 1; i < KEMU_MAX_BOS; i++) {
        if (!bos[i].is_used) {
            bos[i] = (struct kemu_bo){.is_used = true, .handle = i, .fd = -1};
            return &bos[i];
        }
    }
    return NULL;
}

/* Pieces are never given back before the heap is: no test asks for so many. */
static int cut_from_heap(struct kemu_bo *bo)
{
    size_t limit = heap == NULL ? 0 : heap->size;
    size_t less = kemu_faults_number(kemu_context_faults(), "heap");

    if (less > 0 && less < limit) {
        limit = less;
    }
    if (bo->size > limit - (heap_used < limit ? heap_used : limit)) {
        return kemu_fail(ENOMEM);
    }
    bo->host = heap->host + heap_used;
    bo->device = heap->device + heap_used;
    bo->address = HEAP_ADDRESS + heap_used;
    heap_used += bo->size;
    poison(bo->device, bo->size);
    return 0;
}

static void *map_new(size_t size, int flags, int fd)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);

    return p == MAP_FAILED ? NULL : p;
}

static void unmap(struct kemu_bo *bo)
{
    if (bo->device != NULL && bo->device != bo->host) {
        (void)munmap(bo->device, bo->size);
    }
    if (bo->host != NULL) {
        (void)munmap(bo->host, bo->size);
    }
    if (bo->fd >= 0) {
        (void)close(bo->fd);
    }
}

static int make_pages(struct kemu_bo *bo)
{
    bo->fd = memfd_create("kemu", MFD_CLOEXEC);
    if (bo->fd < 0 || ftruncate(bo->fd, (off_t)bo->size) < 0) {
        goto give_back;
    }
    bo->host = map_new(bo->size, MAP_SHARED, bo->fd);
    /* A command's packet is read by the driver: there is one copy of it. */
    bo->device = bo->type == AMDXDNA_BO_CMD
                     ? bo->host
                     : map_new(bo->size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    if (bo->host == NULL || bo->device == NULL) {
        goto give_back;
    }
    if (bo->type == AMDXDNA_BO_DEV_HEAP) {
        heap = bo; /* its pieces are poisoned when they are cut */
        heap_used = 0;
        bo->address = HEAP_ADDRESS;
    } else if (bo->type == AMDXDNA_BO_SHARE) {
        poison(bo->device, bo->size);
    }
    return 0;

give_back:
    unmap(bo);
    return kemu_fail(ENOMEM);
}

int kemu_bo_create(void *arg)
{
    struct amdxdna_drm_create_bo *a = arg;
    struct kemu_bo *bo = take_free();
    int rc;

    if (bo == NULL) {
        return kemu_fail(ENOMEM);
    }
    if (kemu_context_is_ready() &&
        kemu_faults_has(kemu_context_faults(), "no-memory", 0)) {
        bo->is_used = false;
        return kemu_fail(ENOMEM);
    }
    bo->type = a->type;
    bo->size = (a->size + PAGE - 1) & ~(size_t)(PAGE - 1);
    rc = a->type == AMDXDNA_BO_DEV ? cut_from_heap(bo) : make_pages(bo);
    kemu_trace("create bo %u: type %u, %zu bytes: %d", bo->handle, bo->type, bo->size,
               rc);
    if (rc < 0) {
        bo->is_used = false;
        return rc;
    }
    a->handle = bo->handle;
    return 0;
}

int kemu_bo_info(void *arg)
{
    struct amdxdna_drm_get_bo_info *a = arg;
    struct kemu_bo *bo = kemu_bo_get(a->handle);

    if (bo == NULL) {
        return kemu_fail(ENOENT);
    }
    a->map_offset = bo->fd < 0 ? NONE : (uint64_t)bo->handle << OFFSET_SHIFT;
    a->vaddr = NONE;
    /* Shared memory has the address at which the process maps it. */
    a->xdna_addr = bo->type == AMDXDNA_BO_DEV || bo->type == AMDXDNA_BO_DEV_HEAP
                       ? bo->address
                       : NONE;
    return 0;
}

int kemu_bo_sync(void *arg)
{
    const struct amdxdna_drm_sync_bo *a = arg;
    struct kemu_bo *bo = kemu_bo_get(a->handle);

    if (bo == NULL) {
        return kemu_fail(ENOENT);
    }
    if (a->offset > bo->size || a->size > bo->size - a->offset) {
        return kemu_fail(EINVAL);
    }
    kemu_trace("sync bo %u: %s device, %llu bytes at %llu", bo->handle,
               a->direction == SYNC_DIRECT_TO_DEVICE ? "to" : "from",
               (unsigned long long)a->size, (unsigned long long)a->offset);
    if (bo->host == bo->device) {
        return 0;
    }
    if (a->direction == SYNC_DIRECT_TO_DEVICE) {
        memcpy(bo->device + a->offset, bo->host + a->offset, a->size);
    } else {
        memcpy(bo->host + a->offset, bo->device + a->offset, a->size);
    }
    return 0;
}

static void free_bo(struct kemu_bo *bo)
{
    if (bo->fd >= 0) {
        unmap(bo);
    }
    if (bo == heap) {
        heap = NULL;
    }
    bo->is_used = false;
}

int kemu_bo_close(void *arg)
{
    const struct drm_gem_close *a = arg;
    struct kemu_bo *bo = kemu_bo_get(a->handle);

    if (bo == NULL) {
        return kemu_fail(EINVAL);
    }
    kemu_trace("close bo %u%s", bo->handle, bo->n_users > 0 ? ", in use" : "");
    bo->is_closed = true;
    if (bo->n_users == 0) {
        free_bo(bo);
    }
    return 0;
}

struct kemu_bo *kemu_bo_hold(uint64_t address, uint64_t n)
{
    for (uint32_t i = 1; i < KEMU_MAX_BOS; i++) {
        struct kemu_bo *bo = kemu_bo_get(i);

        if (bo == NULL || bo->address == 0 || address < bo->address) {
            continue;
        }
        /* The heap's pieces are what a command names, never the heap. */
        if (bo->type == AMDXDNA_BO_DEV_HEAP || address - bo->address >= bo->size ||
            n > bo->size - (address - bo->address)) {
            continue;
        }
        bo->n_users++;
        return bo;
    }
    return NULL;
}

void kemu_bo_release(struct kemu_bo *bo)
{
    if (bo == NULL) {
        return;
    }
    bo->n_users--;
    if (bo->n_users == 0 && bo->is_closed) {
        free_bo(bo);
    }
}

struct kemu_bo *kemu_bo_at_offset(uint64_t offset)
{
    return kemu_bo_get(offset >> OFFSET_SHIFT);
}
