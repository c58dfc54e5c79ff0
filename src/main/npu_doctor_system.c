/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel has and allows. */
#include "main/npu_doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_KERNEL_MAJOR 6
#define MIN_KERNEL_MINOR 14
#define MIN_MEMLOCK      ((uint64_t)64 * 1024 * 1024) /* the driver's device heap */
#define MIB              ((uint64_t)1024 * 1024)
#define DRIVER           "/sys/module/amdxdna"
#define NODES            "/dev/accel"
#define CLASS            "/sys/class/accel"
#define MAX_LOG_LINES    4

static bool exists(const struct mf_doctor *d, const char *path)
{
    char full[MF_DOCTOR_PATH];

    (void)snprintf(full, sizeof(full), "%s%s", d->paths.root, path);
    return access(full, F_OK) == 0;
}

static DIR *open_dir(const struct mf_doctor *d, const char *path)
{
    char full[MF_DOCTOR_PATH];

    (void)snprintf(full, sizeof(full), "%s%s", d->paths.root, path);
    return opendir(full);
}

/* ---- kernel and driver ---- */

static void look_at_kernel(struct mf_doctor *d, bool has_driver)
{
    char release[128];
    unsigned major, minor;

    mf_doctor_line(d, "/proc/sys/kernel/osrelease", release, sizeof(release));
    if (!mf_doctor_version(release, &major, &minor)) {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "kernel",
                      "its version is not readable; 6.14 is the first with amdxdna");
    } else if (major > MIN_KERNEL_MAJOR ||
               (major == MIN_KERNEL_MAJOR && minor >= MIN_KERNEL_MINOR)) {
        mf_doctor_say(d, MF_DOCTOR_OK, "kernel", "%s", release);
    } else if (has_driver) {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "kernel",
                      "%s has no amdxdna of its own (6.14 has): the driver was built "
                      "outside; it must fit the firmware and libxrt-npu2",
                      release);
    } else {
        mf_doctor_say(d, MF_DOCTOR_BAD, "kernel",
                      "%s has no amdxdna: install a kernel of 6.14 or later", release);
    }
}

static void look_at_driver(struct mf_doctor *d, bool has_driver)
{
    char version[64];

    mf_doctor_line(d, DRIVER "/version", version, sizeof(version));
    if (has_driver) {
        mf_doctor_say(d, MF_DOCTOR_OK, "driver", "amdxdna is loaded%s%s",
                      version[0] != '\0' ? ", version " : "", version);
    } else {
        mf_doctor_say(
            d, MF_DOCTOR_BAD, "driver",
            "amdxdna is not loaded: `modprobe amdxdna`; when it is not found, "
            "the kernel is built without CONFIG_DRM_ACCEL_AMDXDNA");
    }
}

/* An NPU that no driver took is one on the bus all the same. */
static bool is_npu(const struct mf_doctor *d, const char *name)
{
    static const char *const ids[] = {"0x1502", "0x17f0", "0x17f1", "0x17f2"};
    char path[MF_DOCTOR_PATH], id[16];

    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.200s/vendor", name);
    mf_doctor_line(d, path, id, sizeof(id));
    if (strcmp(id, "0x1022") != 0) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/sys/bus/pci/devices/%.200s/device", name);
    mf_doctor_line(d, path, id, sizeof(id));
    for (size_t i = 0; i < mf_countof(ids); i++) {
        if (strcmp(id, ids[i]) == 0) {
            return true;
        }
    }
    return false;
}

static void look_at_bus(struct mf_doctor *d)
{
    DIR *dir = open_dir(d, "/sys/bus/pci/devices");
    const struct dirent *e;
    char found[64] = "";

    while (dir != NULL && found[0] == '\0' && (e = readdir(dir)) != NULL) {
        if (is_npu(d, e->d_name)) {
            (void)snprintf(found, sizeof(found), "%.60s", e->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    if (found[0] != '\0') {
        mf_doctor_say(d, MF_DOCTOR_OK, "pci", "an AMD NPU at %s", found);
    } else {
        mf_doctor_say(
            d, dir != NULL ? MF_DOCTOR_BAD : MF_DOCTOR_UNKNOWN, "pci",
            "no NPU known to us among the PCI devices (1022:1502, 1022:17f0): "
            "is there one in this machine, is it on in the firmware setup?");
    }
}

/* ---- the nodes ---- */

/* Field `i` of a line of /etc/group. */
static struct mf_slice field_of(struct mf_slice line, unsigned i)
{
    const char *end;

    while (i-- > 0) {
        end = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
        if (end == NULL) {
            return mf_slice_of(NULL, 0);
        }
        line = mf_slice_of(end + 1, line.n - (size_t)(end - line.p) - 1);
    }
    end = line.n == 0 ? NULL : memchr(line.p, ':', line.n);
    return end == NULL ? line : mf_slice_of(line.p, (size_t)(end - line.p));
}

static void name_of_group(const struct mf_doctor *d, unsigned gid, char *out, size_t n)
{
    struct mf_buf text;
    struct mf_slice rest, line;

    (void)snprintf(out, n, "%u", gid);
    mf_buf_init(&text);
    if (mf_doctor_read(d, "/etc/group", &text) < 0) {
        mf_buf_fini(&text);
        return;
    }
    rest = mf_slice_of(text.p, text.n);
    while (mf_doctor_next_line(&rest, &line)) {
        struct mf_slice name = field_of(line, 0);
        uint64_t id;

        if (mf_slice_to_u64(field_of(line, 2), &id) == 0 && id == gid && name.n > 0) {
            (void)snprintf(out, n, "%.*s", (int)name.n, name.p);
            break;
        }
    }
    mf_buf_fini(&text);
}

/* Only opening it tells: groups, the cgroup's rules and namespaces all have a say. */
static void look_at_node(struct mf_doctor *d, const char *name)
{
    char full[MF_DOCTOR_PATH], group[64] = "?";
    struct stat st = {0};
    int fd, sys;

    (void)snprintf(full, sizeof(full), "%s" NODES "/%.200s", d->paths.root, name);
    if (stat(full, &st) == 0) {
        name_of_group(d, st.st_gid, group, sizeof(group));
    }
    fd = open(full, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    sys = errno;
    if (fd >= 0) {
        (void)close(fd);
        mf_doctor_say(d, MF_DOCTOR_OK, "device",
                      NODES "/%s, group %s, mode %04o: opens", name, group,
                      (unsigned)st.st_mode & 07777u);
        return;
    }
    mf_doctor_say(
        d, MF_DOCTOR_BAD, "device", NODES "/%s, group %s, mode %04o: %s. %s", name,
        group, (unsigned)st.st_mode & 07777u, strerror(sys),
        sys == EACCES
            ? "Who runs memfuse must be in that group: `usermod -aG GROUP USER` "
              "and a new login, or SupplementaryGroups= of the systemd unit"
            : "A container or a systemd unit must be given the device "
              "(DeviceAllow=, --device)");
}

static size_t look_at_nodes(struct mf_doctor *d)
{
    DIR *dir = open_dir(d, NODES);
    const struct dirent *e;
    size_t n = 0;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        if (strncmp(e->d_name, "accel", 5) == 0) {
            look_at_node(d, e->d_name);
            n++;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    if (n == 0) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "device",
                      "there is no " NODES
                      "/accel0: the driver makes it when it found an "
                      "NPU and its firmware; in a container it must be passed in");
    }
    return n;
}

/* ---- memlock ---- */

/* The first word behind the name, in the line that begins with it. */
static bool soft_limit(struct mf_slice line, char *out, size_t n)
{
    static const char name[] = "Max locked memory";
    const char *end;

    if (line.n < sizeof(name) || memcmp(line.p, name, sizeof(name) - 1) != 0) {
        return false;
    }
    line = mf_slice_trim(
        mf_slice_of(line.p + sizeof(name) - 1, line.n - sizeof(name) + 1));
    end = line.n == 0 ? NULL : memchr(line.p, ' ', line.n);
    line.n = end == NULL ? line.n : (size_t)(end - line.p);
    (void)snprintf(out, n, "%.*s", (int)line.n, line.n > 0 ? line.p : "");
    return true;
}

static bool find_memlock(const struct mf_doctor *d, char *soft, size_t n)
{
    struct mf_buf text;
    struct mf_slice rest, line;
    bool found = false;

    mf_buf_init(&text);
    if (mf_doctor_read(d, "/proc/self/limits", &text) == 0) {
        rest = mf_slice_of(text.p, text.n);
        while (!found && mf_doctor_next_line(&rest, &line)) {
            found = soft_limit(line, soft, n);
        }
    }
    mf_buf_fini(&text);
    return found;
}

static void look_at_memlock(struct mf_doctor *d)
{
    char soft[32];
    uint64_t bytes = 0;

    if (!find_memlock(d, soft, sizeof(soft))) {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "memlock",
                      "the limit is not readable; 64 MiB are needed (`ulimit -l`)");
        return;
    }
    if (strcmp(soft, "unlimited") == 0) {
        mf_doctor_say(d, MF_DOCTOR_OK, "memlock",
                      "unlimited (here; a service has its own "
                      "limit, LimitMEMLOCK=)");
        return;
    }
    if (mf_slice_to_u64(mf_slice_str(soft), &bytes) < 0) {
        bytes = 0;
    }
    if (bytes >= MIN_MEMLOCK) {
        mf_doctor_say(d, MF_DOCTOR_OK, "memlock",
                      "%llu MiB (here; a service has its own limit, LimitMEMLOCK=)",
                      (unsigned long long)(bytes / MIB));
        return;
    }
    mf_doctor_say(
        d, MF_DOCTOR_BAD, "memlock",
        "%llu KiB may be locked, 65536 are needed: LimitMEMLOCK=infinity in the "
        "systemd unit, `ulimit -l unlimited` or limits.conf for a shell",
        (unsigned long long)(bytes / 1024));
}

/* ---- firmware, IOMMU, the kernel's log ---- */

static void look_at_firmware(struct mf_doctor *d)
{
    char version[64], name[64];

    mf_doctor_line(d, CLASS "/accel0/device/fw_version", version, sizeof(version));
    mf_doctor_line(d, CLASS "/accel0/device/vbnv", name, sizeof(name));
    if (version[0] != '\0') {
        mf_doctor_say(d, MF_DOCTOR_OK, "firmware", "%s%s%s", version,
                      name[0] != '\0' ? " of " : "", name);
    } else {
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "firmware",
                      "its version is not readable (" CLASS
                      "/accel0/device/fw_version); "
                      "`dmesg | grep -i amdxdna` says which was loaded");
    }
}

static bool has_entries(const struct mf_doctor *d, const char *path)
{
    DIR *dir = open_dir(d, path);
    const struct dirent *e;
    bool found = false;

    while (dir != NULL && !found && (e = readdir(dir)) != NULL) {
        found = e->d_name[0] != '.';
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return found;
}

static void look_at_iommu(struct mf_doctor *d)
{
    char line[4096];

    mf_doctor_line(d, "/proc/cmdline", line, sizeof(line));
    if (strstr(line, "iommu=off") != NULL) {
        mf_doctor_say(d, MF_DOCTOR_BAD, "iommu",
                      "switched off on the kernel's command line (iommu=off): the NPU "
                      "shares addresses with the process and needs it");
    } else if (exists(d, CLASS "/accel0/device/iommu_group") ||
               has_entries(d, "/sys/class/iommu")) {
        mf_doctor_say(d, MF_DOCTOR_OK, "iommu", "on");
    } else {
        mf_doctor_say(
            d, MF_DOCTOR_UNKNOWN, "iommu",
            "none seen: the NPU needs it (\"SVA bind\" with -19 or -95 in the "
            "kernel's log); it is switched on in the firmware setup");
    }
}

static bool has_word(struct mf_slice line, const char *word)
{
    return memmem(line.p, line.n, word, strlen(word)) != NULL;
}

/* What is known of sentences of the driver. */
static const char *advice_on(struct mf_slice line)
{
    static const struct {
        const char *words, *advice;
    } known[] = {
        {"ncompatible firmware protocol",
         "driver and firmware do not fit: update linux-firmware, or kernel and driver"},
        {"SVA bind", "the IOMMU is off: switch it on in the firmware setup"},
        {"firmware", "update linux-firmware (folder amdnpu) and start anew"},
    };

    if (!has_word(line, "rror") && !has_word(line, "ail") &&
        !has_word(line, "ncompatible")) {
        return NULL;
    }
    for (size_t i = 0; i < mf_countof(known); i++) {
        if (has_word(line, known[i].words)) {
            return known[i].advice;
        }
    }
    return "attach it to a report";
}

static void look_at_log(struct mf_doctor *d)
{
    struct mf_buf text;
    struct mf_slice rest, line;
    size_t n = 0, n_told = 0;

    mf_buf_init(&text);
    if (mf_doctor_read(d, "/dev/kmsg", &text) < 0) {
        mf_buf_fini(&text);
        mf_doctor_say(d, MF_DOCTOR_UNKNOWN, "log",
                      "the kernel's log is not readable for this user: look at "
                      "`sudo dmesg | grep -i amdxdna`");
        return;
    }
    rest = mf_slice_of(text.p, text.n);
    while (mf_doctor_next_line(&rest, &line)) {
        const char *advice;

        if (!has_word(line, "amdxdna")) {
            continue;
        }
        n++;
        advice = advice_on(line);
        if (advice != NULL && n_told++ < MAX_LOG_LINES) {
            mf_doctor_say(d, MF_DOCTOR_BAD, "log", "%.*s: %s",
                          (int)mf_min(line.n, 300u), line.p, advice);
        }
    }
    if (n_told == 0) {
        mf_doctor_say(d, MF_DOCTOR_OK, "log",
                      "%zu lines of amdxdna in the kernel's log, no complaint", n);
    }
    mf_buf_fini(&text);
}

void mf_doctor_system(struct mf_doctor *d)
{
    bool has_driver = exists(d, DRIVER);

    look_at_kernel(d, has_driver);
    look_at_bus(d);
    look_at_driver(d, has_driver);
    if (look_at_nodes(d) > 0) {
        look_at_firmware(d);
    }
    look_at_memlock(d);
    look_at_iommu(d);
    look_at_log(d);
}
