/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/mf_test.h"
#include "lib/npu_artefacts.h"
#include "lib/test_file.h"
#include "main/npu_doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A system of our own under a folder. */
struct tree {
    char root[256], modules[300], artefacts[300];
    struct mf_doctor doctor;
};

static void make_parents(char *path)
{
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0755);
        *at = '/';
    }
}

static void put(const struct tree *t, const char *path, const char *text)
{
    char full[512];

    (void)snprintf(full, sizeof(full), "%s%s", t->root, path);
    make_parents(full);
    mf_test_write(full, text, strlen(text));
}

static void drop(const struct tree *t, const char *path)
{
    char full[512];

    (void)snprintf(full, sizeof(full), "%s%s", t->root, path);
    MF_CHECK_OK(remove(full));
}

static void put_memlock(const struct tree *t, const char *soft)
{
    char text[256];

    (void)snprintf(text, sizeof(text),
                   "Limit                     Soft Limit           Hard Limit   Units\n"
                   "Max processes             100                  100    processes\n"
                   "Max locked memory         %-20s %-12s bytes\n",
                   soft, soft);
    put(t, "/proc/self/limits", text);
}

/* A machine on which everything is as it should be. */
static void plant(struct tree *t)
{
    (void)snprintf(t->root, sizeof(t->root), "%s/%s", mf_test_tmpdir(), "tree");
    (void)snprintf(t->modules, sizeof(t->modules), "%s/modules", t->root);
    t->artefacts[0] = '\0';
    put(t, "/proc/sys/kernel/osrelease", "6.14.2-amd64\n");
    put(t, "/proc/cmdline", "quiet iommu=pt\n");
    put(t, "/sys/bus/pci/devices/0000:c5:00.1/vendor", "0x1022\n");
    put(t, "/sys/bus/pci/devices/0000:c5:00.1/device", "0x17f0\n");
    put(t, "/sys/module/amdxdna/initstate", "live\n");
    put(t, "/sys/class/iommu/ivhd0/x", "");
    put(t, "/sys/class/accel/accel0/device/fw_version", "1.0.0.166\n");
    put(t, "/sys/class/accel/accel0/device/vbnv", "NPU Strix\n");
    put(t, "/dev/accel/accel0", "");
    put(t, "/dev/kmsg", "6,1,1,-;Linux version\n6,2,2,-;amdxdna 0000:c5:00.1: ready\n");
    put(t, "/etc/group", "root:x:0:\nrender:x:990:\n");
    put_memlock(t, "unlimited");
    put(t, "/usr/lib64/libxrt_coreutil.so.2.25.00", "");
    put(t, "/usr/lib64/libxrt_driver_xdna.so.2", "");
    put(t, "/modules/npu-xrt-2.25.so", "");
}

static void link_library(const struct tree *t, const char *to, const char *path)
{
    char full[512];

    (void)snprintf(full, sizeof(full), "%s%s", t->root, path);
    (void)unlink(full);
    MF_CHECK_OK(symlink(to, full));
}

static void start(struct tree *t)
{
    struct mf_doctor_paths paths = {
        .root = t->root, .modules = t->modules, .artefacts = t->artefacts};

    plant(t);
    link_library(t, "libxrt_coreutil.so.2.25.00", "/usr/lib64/libxrt_coreutil.so.2");
    mf_doctor_init(&t->doctor, &paths);
}

/* Is there a line that begins so and contains this? */
static bool says(const struct tree *t, const char *head, const char *words)
{
    struct mf_slice rest = mf_slice_of(t->doctor.out.p, t->doctor.out.n), line;

    while (mf_doctor_next_line(&rest, &line)) {
        if (line.n >= strlen(head) && memcmp(line.p, head, strlen(head)) == 0 &&
            memmem(line.p, line.n, words, strlen(words)) != NULL) {
            return true;
        }
    }
    return false;
}

MF_TEST(npu_doctor, finds_nothing_bad_where_all_is_well)
{
    struct tree t;

    start(&t);
    mf_doctor_system(&t.doctor);
    mf_doctor_xrt(&t.doctor);
    MF_CHECK_INT(t.doctor.n_bad, 0);
    MF_CHECK(says(&t, "ok   kernel ", "6.14.2-amd64"));
    MF_CHECK(says(&t, "ok   pci ", "0000:c5:00.1"));
    MF_CHECK(says(&t, "ok   driver ", "amdxdna"));
    MF_CHECK(says(&t, "ok   device ", "/dev/accel/accel0, group "));
    MF_CHECK(says(&t, "ok   firmware ", "1.0.0.166 of NPU Strix"));
    MF_CHECK(says(&t, "ok   memlock ", "unlimited"));
    MF_CHECK(says(&t, "ok   iommu ", "on"));
    MF_CHECK(says(&t, "ok   log ", "1 lines"));
    MF_CHECK(says(&t, "ok   xrt ", "is 2.25"));
    MF_CHECK(says(&t, "ok   plugin ", "libxrt_driver_xdna.so.2"));
    MF_CHECK(says(&t, "ok   module ", "npu-xrt-2.25.so would be taken"));
    MF_CHECK(t.doctor.has_module);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, knows_an_empty_machine)
{
    struct mf_doctor d;
    struct mf_doctor_paths paths = {"/nonexistent", NULL, "/nonexistent", ""};
    struct tree t;

    mf_doctor_init(&d, &paths);
    mf_doctor_system(&d);
    mf_doctor_xrt(&d);
    mf_doctor_artefacts(&d);
    t.doctor = d;
    MF_CHECK(says(&t, "?    kernel ", "6.14"));
    MF_CHECK(says(&t, "?    pci ", "1022:17f0"));
    MF_CHECK(says(&t, "bad  driver ", "modprobe amdxdna"));
    MF_CHECK(says(&t, "bad  device ", "/dev/accel/accel0"));
    MF_CHECK(says(&t, "?    memlock ", "64 MiB"));
    MF_CHECK(says(&t, "?    log ", "dmesg"));
    MF_CHECK(says(&t, "bad  xrt ", "libxrt2"));
    MF_CHECK(says(&t, "bad  module ", "embed.npu.module"));
    MF_CHECK(says(&t, "?    artefacts ", "embed.npu.dir"));
    MF_CHECK_INT(d.n_bad, 4);
    mf_doctor_fini(&d);
}

MF_TEST(npu_doctor, wants_a_kernel_with_the_driver_or_the_driver_itself)
{
    struct tree t;

    start(&t);
    put(&t, "/proc/sys/kernel/osrelease", "6.12.9\n");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "?    kernel ", "built outside"));
    MF_CHECK_INT(t.doctor.n_bad, 0);
    drop(&t, "/sys/module/amdxdna/initstate");
    drop(&t, "/sys/module/amdxdna");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  kernel ", "6.12.9 has no amdxdna"));
    MF_CHECK(says(&t, "bad  driver ", "modprobe"));
    MF_CHECK_INT(t.doctor.n_bad, 2);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, says_when_the_bus_has_no_npu)
{
    struct tree t;

    start(&t);
    put(&t, "/sys/bus/pci/devices/0000:c5:00.1/device", "0x1502f\n");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  pci ", "firmware setup"));
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, tries_to_open_the_node_and_names_its_group)
{
    struct tree t;
    char node[512];

    start(&t);
    (void)snprintf(node, sizeof(node), "%s/dev/accel/accel0", t.root);
    if (geteuid() == 0) {
        MF_CHECK_OK(chown(node, 0, 990));
        mf_doctor_system(&t.doctor);
        MF_CHECK(says(&t, "ok   device ", "group render"));
    } else {
        MF_CHECK_OK(chmod(node, 0));
        mf_doctor_system(&t.doctor);
        MF_CHECK(says(&t, "bad  device ", "usermod -aG"));
    }
    /* Something that cannot be opened to write, whoever asks. */
    drop(&t, "/dev/accel/accel0");
    MF_CHECK_OK(mkdir(node, 0755));
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  device ", "DeviceAllow="));
    MF_CHECK_OK(rmdir(node));
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, wants_64_mib_of_locked_memory)
{
    struct tree t;

    start(&t);
    put_memlock(&t, "67108864");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "ok   memlock ", "64 MiB"));
    put_memlock(&t, "67108863");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  memlock ", "65535 KiB"));
    put_memlock(&t, "rubbish");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  memlock ", "0 KiB"));
    MF_CHECK_INT(t.doctor.n_bad, 2);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, sees_an_iommu_that_is_off)
{
    struct tree t;

    start(&t);
    put(&t, "/proc/cmdline", "quiet amd_iommu=off\n");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  iommu ", "iommu=off"));
    put(&t, "/proc/cmdline", "quiet\n");
    drop(&t, "/sys/class/iommu/ivhd0/x");
    drop(&t, "/sys/class/iommu/ivhd0");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "?    iommu ", "SVA bind"));
    MF_CHECK_INT(t.doctor.n_bad, 1);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, reads_the_complaints_of_the_driver)
{
    struct tree t;

    start(&t);
    put(&t, "/dev/kmsg",
        "3,1,1,-;amdxdna 0000:c5:00.1: Incompatible firmware protocol major 7 minor 3\n"
        "3,2,2,-;other 0000:c5:00.2: something failed\n"
        "3,3,3,-;amdxdna 0000:c5:00.1: SVA bind device failed, ret -95\n"
        "3,4,4,-;amdxdna 0000:c5:00.1: mailbox error\n");
    mf_doctor_system(&t.doctor);
    MF_CHECK(says(&t, "bad  log ", "do not fit: update linux-firmware"));
    MF_CHECK(says(&t, "bad  log ", "ret -95: the IOMMU is off"));
    MF_CHECK(says(&t, "bad  log ", "mailbox error: attach it"));
    MF_CHECK(!says(&t, "bad  log ", "something failed"));
    MF_CHECK_INT(t.doctor.n_bad, 3);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, refuses_an_xrt_that_cannot_drive_an_npu)
{
    struct tree t;

    start(&t);
    put(&t, "/usr/lib64/libxrt_coreutil.so.2.13.0", "");
    link_library(&t, "libxrt_coreutil.so.2.13.0", "/usr/lib64/libxrt_coreutil.so.2");
    mf_doctor_xrt(&t.doctor);
    MF_CHECK(says(&t, "bad  xrt ", "is 2.13, which cannot drive an NPU"));
    MF_CHECK(says(&t, "bad  module ", "modules for 2.25 only"));
    MF_CHECK(!t.doctor.has_module);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, takes_the_module_of_the_xrt_that_is_there_and_no_other)
{
    struct tree t;

    start(&t);
    put(&t, "/modules/npu-xrt-2.13.so", "");
    put(&t, "/modules/npu-xrt-.so", "");
    mf_doctor_xrt(&t.doctor);
    MF_CHECK(says(&t, "ok   module ", "npu-xrt-2.25.so would be taken"));
    drop(&t, "/modules/npu-xrt-2.25.so");
    mf_doctor_xrt(&t.doctor);
    MF_CHECK(says(&t, "bad  module ", "XRT 2.25 is here"));
    MF_CHECK(!t.doctor.has_module);
    drop(&t, "/modules/npu-xrt-2.13.so");
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, wants_the_plugin_beside_the_library)
{
    struct tree t;

    start(&t);
    drop(&t, "/usr/lib64/libxrt_driver_xdna.so.2");
    mf_doctor_xrt(&t.doctor);
    MF_CHECK(says(&t, "bad  plugin ", "libxrt-npu2"));
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, looks_in_the_folders_of_the_loader_first)
{
    struct tree t;
    char libraries[600];

    start(&t);
    put(&t, "/own/libxrt_coreutil.so.2.26.1", "");
    link_library(&t, "libxrt_coreutil.so.2.26.1", "/own/libxrt_coreutil.so.2");
    (void)snprintf(libraries, sizeof(libraries), "::/nonexistent:%s/own", t.root);
    t.doctor.paths.libraries = libraries;
    mf_doctor_xrt(&t.doctor);
    MF_CHECK_STR(t.doctor.generation, "2.26");
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, judges_the_artefacts_of_the_settings)
{
    struct npu_artefacts a = npu_artefacts_minilm();
    struct mf_err err = {0};
    struct tree t;

    start(&t);
    (void)snprintf(t.artefacts, sizeof(t.artefacts), "%s/artefacts", t.root);
    mf_doctor_artefacts(&t.doctor);
    MF_CHECK(says(&t, "bad  artefacts ", "memfuse npu manifest"));
    MF_CHECK_OK(mkdir(t.artefacts, 0755));
    MF_CHECK_OK(npu_artefacts_write(t.artefacts, &a));
    MF_CHECK_OK(mf_npu_manifest_make(t.artefacts, &err));
    mf_doctor_artefacts(&t.doctor);
    MF_CHECK(says(&t, "bad  artefacts ", "instructions of our emulation"));
    MF_CHECK_INT(t.doctor.n_bad, 2);
    mf_doctor_fini(&t.doctor);
}

MF_TEST(npu_doctor, reads_versions_and_nothing_else)
{
    unsigned a, b;

    MF_CHECK(mf_doctor_version("6.14.2-amd64", &a, &b));
    MF_CHECK_INT(a, 6);
    MF_CHECK_INT(b, 14);
    MF_CHECK(mf_doctor_version("2.25", &a, &b));
    MF_CHECK(!mf_doctor_version("", &a, &b));
    MF_CHECK(!mf_doctor_version("6", &a, &b));
    MF_CHECK(!mf_doctor_version("6.", &a, &b));
    MF_CHECK(!mf_doctor_version("x.1", &a, &b));
    MF_CHECK(!mf_doctor_version("99999999999999.1", &a, &b));
}

MF_TEST(npu_doctor, survives_every_failed_allocation)
{
    struct tree t;

    for (size_t nth = 1; nth < 1000; nth++) {
        bool has_failed;

        start(&t);
        mf_test_fail_nth(nth);
        mf_doctor_system(&t.doctor);
        mf_doctor_xrt(&t.doctor);
        mf_doctor_artefacts(&t.doctor);
        has_failed = mf_test_has_failed();
        mf_test_fail_nth(0);
        mf_doctor_fini(&t.doctor);
        if (!has_failed) {
            MF_CHECK(nth > 5);
            return;
        }
    }
    MF_CHECK(false);
}
