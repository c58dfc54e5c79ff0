/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xclbin.h"

#include "base/file.h"
#include "npu/manifest.h"
#include "npu/xclbin_in.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Places in the fixed part, which is FIXED bytes; the table of sections follows. */
#define FIXED           456U
#define AT_LENGTH       304U /* u64: of the file */
#define AT_UUID         416U /* 16 bytes */
#define AT_SECTIONS     448U /* u32: how many */
/* One entry of the table. */
#define ENTRY           40U
#define ENTRY_AT        24U /* u64; before it: u32 kind, 16 bytes name, padding */
#define ENTRY_SIZE      32U /* u64 */
#define MAX_SECTIONS    4096U
/* Banks: u8 type, u8 is_used, padding, u64 size, u64 base, 16 bytes name. */
#define BANK            40U
#define BANK_USED       1U
#define BANK_NAME       24U
/* Units: u32 type, u32 properties, u64 base, 64 bytes name. */
#define UNIT            80U
#define UNIT_PROPERTIES 4U
#define UNIT_NAME       16U
#define UNIT_NAME_MAX   64U
#define TYPE_PS_KERNEL  7U
#define SUBTYPE_DPU     1U
/* Connections: i32 argument, i32 unit, i32 bank. */
#define CONNECTION      12U
#define MAX_ARGUMENT    256U

enum part { XML, BANKS, LINKS, UNITS, PARTITION, N_PARTS };

static const struct mf_xclbin_section parts[N_PARTS] = {
    [XML] = {.name = "EMBEDDED_METADATA", .kind = 2},
    [BANKS] = {.name = "MEM_TOPOLOGY", .kind = 6},
    [LINKS] = {.name = "CONNECTIVITY", .kind = 7},
    [UNITS] = {.name = "IP_LAYOUT", .kind = 8},
    [PARTITION] = {.name = "AIE_PARTITION", .kind = 32},
};

int mf_xclbin_refuse(const struct mf_xclbin_section *s, uint64_t offset,
                     const char *fmt, ...)
{
    char sentence[MF_ERR_MAX];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
    va_end(ap);
    return mf_err_set(s->err, MF_EINVAL,
                      "xclbin, section %s at %" PRIu64 " + %" PRIu64 ": %s", s->name,
                      s->at, offset, sentence);
}

int mf_xclbin_array(const struct mf_xclbin_section *s, const char *what,
                    uint64_t offset, uint64_t count, uint64_t size)
{
    if (offset > s->n || count > (s->n - offset) / size) {
        return mf_xclbin_refuse(
            s, offset, "%" PRIu64 " %s of %" PRIu64 " bytes do not fit in its %" PRIu64,
            count, what, size, s->n);
    }
    return 0;
}

int mf_xclbin_text(const struct mf_xclbin_section *s, const char *what, uint64_t offset,
                   uint64_t max, struct mf_slice *out)
{
    const uint8_t *end = NULL;

    if (offset < s->n) {
        end = memchr(s->p + offset, 0, mf_min(max, s->n - offset));
    }
    if (end == NULL) {
        return mf_xclbin_refuse(s, offset, "the name of %s does not end", what);
    }
    *out = mf_slice_of((const char *)s->p + offset, (size_t)(end - s->p - offset));
    return 0;
}

/* ---- the file ---- */

static int check_head(struct mf_slice file, struct mf_err *err)
{
    uint64_t length;

    if (file.n < FIXED) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin: %zu bytes; its header alone has %u: it was cut off",
                          file.n, FIXED);
    }
    if (file.n > MF_NPU_MAX_FILE) {
        return mf_err_set(err, MF_EINVAL, "xclbin: %zu bytes; %lu are the limit",
                          file.n, MF_NPU_MAX_FILE);
    }
    if (memcmp(file.p, "xclbin2", 8) != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at 0: it does not begin with 'xclbin2'");
    }
    length = mf_get_u64(file.p + AT_LENGTH);
    if (length != file.n) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at %u: it says that it has %" PRIu64
                          " bytes, and has %zu: it was cut off or added to",
                          AT_LENGTH, length, file.n);
    }
    return 0;
}

static enum part part_of(uint32_t kind)
{
    enum part i = XML;

    while (i < N_PARTS && parts[i].kind != kind) {
        i++;
    }
    return i;
}

static int take_entry(struct mf_slice file, uint64_t table_end, uint64_t at,
                      struct mf_xclbin_section found[N_PARTS], struct mf_err *err)
{
    const char *entry = file.p + at;
    uint32_t kind = mf_get_u32(entry);
    uint64_t from = mf_get_u64(entry + ENTRY_AT), n = mf_get_u64(entry + ENTRY_SIZE);
    enum part part = part_of(kind);
    const char *name = part < N_PARTS ? parts[part].name : "of another kind";

    if (from == 0 && n == 0 && part == N_PARTS) {
        return 0; /* named, not there */
    }
    if (from > file.n || n > file.n - from || from < table_end) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at %" PRIu64 ": section %s (%u): %" PRIu64
                          " bytes from %" PRIu64 " on are not in the file behind its "
                          "table",
                          at, name, kind, n, from);
    }
    if (part == N_PARTS) {
        return 0;
    }
    if (found[part].p != NULL) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at %" PRIu64 ": section %s (%u) stands twice", at,
                          name, kind);
    }
    if (from % 8 != 0) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at %" PRIu64 ": section %s (%u) begins at %" PRIu64
                          ", which is no multiple of 8",
                          at, name, kind, from);
    }
    found[part] = parts[part];
    found[part].p = (const uint8_t *)file.p + from;
    found[part].at = from;
    found[part].n = n;
    found[part].err = err;
    return 0;
}

static int find_sections(struct mf_slice file, struct mf_xclbin_section found[N_PARTS],
                         size_t *n_sections, struct mf_err *err)
{
    uint32_t n = mf_get_u32(file.p + AT_SECTIONS);
    uint64_t end = FIXED + (uint64_t)n * ENTRY;

    if (n == 0 || n > MAX_SECTIONS || end > file.n) {
        return mf_err_set(err, MF_EINVAL,
                          "xclbin, at %u: a table of %u sections (1 to %u may be) does "
                          "not fit in %zu bytes",
                          AT_SECTIONS, n, MAX_SECTIONS, file.n);
    }
    for (uint32_t i = 0; i < n; i++) {
        int rc = take_entry(file, end, FIXED + (uint64_t)i * ENTRY, found, err);

        if (rc < 0) {
            return rc;
        }
    }
    for (int i = 0; i < N_PARTS; i++) {
        if (found[i].p == NULL) {
            return mf_err_set(err, MF_EINVAL,
                              "xclbin: section %s (%u) is missing; XRT could end the "
                              "process",
                              parts[i].name, parts[i].kind);
        }
    }
    *n_sections = n;
    return 0;
}

/* ---- its sections ---- */

/* The i32 that such a section begins with; the list itself begins at `list_at`. */
static int take_count(const struct mf_xclbin_section *s, const char *what,
                      uint64_t list_at, uint64_t size, uint32_t *n)
{
    if (s->n < list_at) {
        return mf_xclbin_refuse(s, 0, "%" PRIu64 " bytes; its header has %" PRIu64,
                                s->n, list_at);
    }
    *n = mf_get_u32(s->p);
    if (*n == 0 || *n > INT32_MAX) {
        return mf_xclbin_refuse(s, 0, "%d %s; at least one is needed", (int)*n, what);
    }
    return mf_xclbin_array(s, what, list_at, *n, size);
}

static int check_banks(const struct mf_xclbin_section *s, uint32_t *n)
{
    int rc = take_count(s, "memory banks", 8, BANK, n);

    for (uint32_t i = 0; rc == 0 && i < *n; i++) {
        struct mf_slice name;

        rc = mf_xclbin_text(s, "a memory bank", 8 + i * (uint64_t)BANK + BANK_NAME, 16,
                            &name);
    }
    return rc;
}

/* "KERNEL:INSTANCE", as the units are called. */
static bool is_unit_of(struct mf_slice unit, struct mf_slice kernel)
{
    return unit.n >= kernel.n && memcmp(unit.p, kernel.p, kernel.n) == 0 &&
           (unit.n == kernel.n || unit.p[kernel.n] == ':');
}

/* All units are looked at; the first that can run the kernel gives its number. */
static int check_units(const struct mf_xclbin_section *s, struct mf_slice kernel,
                       uint32_t *n, uint32_t *kernel_id)
{
    bool is_found = false;
    int rc = take_count(s, "units", 8, UNIT, n);

    for (uint32_t i = 0; rc == 0 && i < *n; i++) {
        uint64_t at = 8 + (uint64_t)i * UNIT;
        uint32_t type = 0, properties = 0;
        struct mf_slice name = MF_SLICE("");

        rc = mf_xclbin_text(s, "a unit", at + UNIT_NAME, UNIT_NAME_MAX, &name);
        if (rc == 0) {
            type = mf_get_u32(s->p + at);
            properties = mf_get_u32(s->p + at + UNIT_PROPERTIES);
        }
        if (rc == 0 && !is_found && type == TYPE_PS_KERNEL &&
            (properties & 3U) == SUBTYPE_DPU && is_unit_of(name, kernel)) {
            is_found = true;
            *kernel_id = (properties >> 16) & 0xfffU;
        }
    }
    if (rc == 0 && !is_found) {
        return mf_xclbin_refuse(s, 8, "no unit for the NPU (a DPU) runs the kernel");
    }
    return rc;
}

static int check_links(const struct mf_xclbin_section *s,
                       const struct mf_xclbin_section *banks, uint32_t n_banks,
                       uint32_t n_units)
{
    uint32_t n = 0;
    int rc = take_count(s, "connections", 4, CONNECTION, &n);

    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        uint64_t at = 4 + (uint64_t)i * CONNECTION;
        uint32_t argument = mf_get_u32(s->p + at), unit = mf_get_u32(s->p + at + 4),
                 bank = mf_get_u32(s->p + at + 8);

        if (argument >= MAX_ARGUMENT || unit >= n_units || bank >= n_banks) {
            return mf_xclbin_refuse(s, at,
                                    "connection of argument %d, unit %d, bank %d: there"
                                    " are %u units and %u banks",
                                    (int)argument, (int)unit, (int)bank, n_units,
                                    n_banks);
        }
        if (banks->p[8 + (uint64_t)bank * BANK + BANK_USED] == 0) {
            return mf_xclbin_refuse(s, at, "connection to bank %u, which is not in use",
                                    bank);
        }
    }
    return rc;
}

static int check_parts(const struct mf_xclbin_section s[N_PARTS], const char *kernel,
                       struct mf_slice *name)
{
    uint32_t n_banks = 0, n_units = 0, kernel_id = 0;
    int rc = mf_xclbin_find_kernel(&s[XML], kernel, name);

    rc = rc < 0 ? rc : check_banks(&s[BANKS], &n_banks);
    rc = rc < 0 ? rc : check_units(&s[UNITS], *name, &n_units, &kernel_id);
    rc = rc < 0 ? rc : check_links(&s[LINKS], &s[BANKS], n_banks, n_units);
    return rc < 0 ? rc : mf_xclbin_check_partition(&s[PARTITION], kernel_id);
}

int mf_xclbin_check(struct mf_slice file, const char *kernel,
                    struct mf_xclbin_info *info, struct mf_err *err)
{
    struct mf_xclbin_section found[N_PARTS] = {0};
    struct mf_slice name = MF_SLICE("");
    int rc = check_head(file, err);

    *info = (struct mf_xclbin_info){0};
    rc = rc < 0 ? rc : find_sections(file, found, &info->n_sections, err);
    rc = rc < 0 ? rc : check_parts(found, kernel, &name);
    if (rc < 0) {
        return rc;
    }
    mf_hex(info->uuid, file.p + AT_UUID, 16);
    memcpy(info->kernel, name.p, name.n);
    return 0;
}
