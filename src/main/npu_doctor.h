/* SPDX-License-Identifier: Apache-2.0 */
/*
 * npu_doctor: what `memfuse doctor npu` looks at, one line for each thing: `ok`, `bad`
 * or `?`, what was found, and what to do. Files only: XRT is never loaded into this
 * process; what XRT itself says is asked of the helper process (npu_doctor.c).
 *
 * Owns:    its text
 * Thread:  any
 * Limits:  MF_DOCTOR_MAX_FILE bytes of a file, the rest is not looked at
 * Fails:   what cannot be read is a line with `?`; memory: mf_buf_status of `out`
 */
#ifndef MF_MAIN_NPU_DOCTOR_H
#define MF_MAIN_NPU_DOCTOR_H

#include "base/base.h"
#include "base/str.h"

#define MF_DOCTOR_MAX_FILE ((size_t)1024 * 1024)
#define MF_DOCTOR_PATH     4096

enum mf_doctor_mark { MF_DOCTOR_OK, MF_DOCTOR_BAD, MF_DOCTOR_UNKNOWN };

/* Where the system is: a test points it at a tree of its own. */
struct mf_doctor_paths {
    const char *root;      /* before /proc, /sys, /dev, /etc, /usr, /opt; "" */
    const char *libraries; /* as LD_LIBRARY_PATH, not below root; may be NULL */
    const char *modules;   /* folder of npu-xrt-*.so */
    const char *artefacts; /* embed.npu.dir; "": none */
};

struct mf_doctor {
    struct mf_doctor_paths paths;
    struct mf_buf out;
    size_t n_bad;
    char generation[16]; /* of the XRT that was found: "2.25"; "": none */
    bool has_module;     /* there is one for that generation */
};

MF_ANY void mf_doctor_init(struct mf_doctor *d, const struct mf_doctor_paths *paths);
MF_ANY void mf_doctor_fini(struct mf_doctor *d);
/* One line. */
MF_ANY void mf_doctor_say(struct mf_doctor *d, enum mf_doctor_mark mark,
                          const char *what, const char *fmt, ...) MF_PRINTF(4, 5);
/* The bytes of a file below root behind what `to` has; a device is read until it has
 * no more to say. */
MF_MUST MF_ANY int mf_doctor_read(const struct mf_doctor *d, const char *path,
                                  struct mf_buf *to);
/* Its first line, without blanks; "" when there is none. */
MF_ANY void mf_doctor_line(const struct mf_doctor *d, const char *path, char *out,
                           size_t n);
/* Cuts the next line off `rest`; false: there is none. */
MF_MUST MF_ANY bool mf_doctor_next_line(struct mf_slice *rest, struct mf_slice *line);
/* "6.14.2-generic": 6, 14. */
MF_MUST MF_ANY bool mf_doctor_version(const char *s, unsigned *major, unsigned *minor);

/* Kernel, driver, device nodes, memlock, firmware, IOMMU, kernel's log. */
MF_ANY void mf_doctor_system(struct mf_doctor *d);
/* The library of XRT, its plugin, our modules. Sets generation, has_module. */
MF_ANY void mf_doctor_xrt(struct mf_doctor *d);
MF_ANY void mf_doctor_artefacts(struct mf_doctor *d);

#endif
