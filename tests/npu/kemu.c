/* SPDX-License-Identifier: Apache-2.0 */
/* The two calls that are taken over. */
#include "kemu.h"

#include <dlfcn.h>
#include <drm/amdxdna_accel.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define NODE "/dev/accel/accel0"

typedef int (*ioctl_fn)(int fd, unsigned long request, ...);
typedef void *(*mmap_fn)(void *at, size_t n, int protection, int flags, int fd,
                         off_t offset);

typedef int (*ini_fn)(const char *key, const char *value);

pthread_mutex_t kemu_lock = PTHREAD_MUTEX_INITIALIZER;

void kemu_trace(const char *fmt, ...)
{
    char line[256];
    va_list ap;

    if (getenv("KEMU_TRACE") == NULL) {
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "kemu: %s\n", line);
}

int kemu_fail(int code)
{
    errno = code;
    return -1;
}

static bool is_node(int fd)
{
    struct stat node, open;

    return fd >= 0 && stat(NODE, &node) == 0 && fstat(fd, &open) == 0 &&
           node.st_dev == open.st_dev && node.st_ino == open.st_ino;
}

static int get_info(void *arg)
{
    const struct amdxdna_drm_get_info *a = arg;
    struct amdxdna_drm_query_aie_metadata m = {
        .cols = 8,
        .rows = 6,
        .core = {.row_count = 4, .row_start = 2},
        .mem = {.row_count = 1, .row_start = 1},
        .shim = {.row_count = 1},
    };
    void *to = (void *)(uintptr_t)a->buffer;

    kemu_trace("info %u, %u bytes", a->param, a->buffer_size);
    memset(to, 0, a->buffer_size);
    if (a->param == DRM_AMDXDNA_QUERY_AIE_METADATA) {
        memcpy(to, &m, a->buffer_size < sizeof(m) ? a->buffer_size : sizeof(m));
    }
    return 0;
}

static int answer(unsigned long request, void *arg)
{
    switch (request) {
    case DRM_IOCTL_AMDXDNA_CREATE_BO: return kemu_bo_create(arg);
    case DRM_IOCTL_AMDXDNA_GET_BO_INFO: return kemu_bo_info(arg);
    case DRM_IOCTL_AMDXDNA_SYNC_BO: return kemu_bo_sync(arg);
    case DRM_IOCTL_GEM_CLOSE: return kemu_bo_close(arg);
    case DRM_IOCTL_AMDXDNA_CREATE_HWCTX: return kemu_context_create(arg);
    case DRM_IOCTL_AMDXDNA_CONFIG_HWCTX: return kemu_context_config(arg);
    case DRM_IOCTL_AMDXDNA_DESTROY_HWCTX: return kemu_context_destroy(arg);
    case DRM_IOCTL_AMDXDNA_EXEC_CMD: return kemu_cmd_exec(arg);
    case DRM_IOCTL_AMDXDNA_WAIT_CMD: return kemu_cmd_wait(arg);
    case DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT: return kemu_cmd_wait_timeline(arg);
    case DRM_IOCTL_AMDXDNA_GET_INFO: return get_info(arg);
    case DRM_IOCTL_SYNCOBJ_DESTROY: return 0; /* it goes with its context */
    default: kemu_trace("ioctl %#lx is not known", request); return kemu_fail(ENOTTY);
    }
}

static void set_driver_sync(void)
{
    void *xrt = dlopen("libxrt_coreutil.so.2", RTLD_NOW | RTLD_NOLOAD);
    ini_fn set = xrt == NULL ? NULL : (ini_fn)dlsym(xrt, "xrtIniStringSet");

    if (set == NULL || set("Debug.force_driver_sync", "true") != 0) {
        (void)fprintf(stderr, "kemu: XRT does not take settings: no sync is seen\n");
    }
}

/* By default XRT syncs without asking the driver: it flushes caches, and nobody sees
 * it. Its file of settings is not for us, since memfuse names an empty one. */
static void ask_for_syncs(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, set_driver_sync);
}

KEMU_PUBLIC int ioctl(int fd, unsigned long request, ...)
{
    ioctl_fn real = (ioctl_fn)dlsym(RTLD_NEXT, "ioctl");
    va_list ap;
    void *arg;
    int rc, code;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (!is_node(fd)) {
        return real(fd, request, arg);
    }
    ask_for_syncs();
    (void)pthread_mutex_lock(&kemu_lock);
    rc = answer(request, arg);
    code = errno;
    (void)pthread_mutex_unlock(&kemu_lock);
    errno = code;
    return rc;
}

KEMU_PUBLIC void *mmap(void *addr, size_t len, int prot, int flags, int fd,
                       off_t offset)
{
    mmap_fn real = (mmap_fn)dlsym(RTLD_NEXT, "mmap");
    struct kemu_bo *bo;
    void *p = MAP_FAILED;

    if (!is_node(fd)) {
        return real(addr, len, prot, flags, fd, offset);
    }
    (void)pthread_mutex_lock(&kemu_lock);
    bo = kemu_bo_at_offset((uint64_t)offset);
    if (bo == NULL || bo->fd < 0 || len > bo->size) {
        errno = EINVAL;
    } else {
        /* The limit of locked memory is the kernel's to watch, not ours. */
        p = real(addr, len, prot, flags & ~MAP_LOCKED, bo->fd, 0);
    }
    if (p != MAP_FAILED && bo->type == AMDXDNA_BO_SHARE) {
        bo->address = (uint64_t)(uintptr_t)p;
    }
    (void)pthread_mutex_unlock(&kemu_lock);
    return p;
}

KEMU_PUBLIC void *mmap64(void *addr, size_t len, int prot, int flags, int fd,
                         off_t offset)
{
    return mmap(addr, len, prot, flags, fd, offset);
}
