/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xml: walks the tags of a small XML text that somebody's tool wrote, and refuses what
 * is not nested, closed or escaped as it must be. No document types, no name spaces.
 * Pure.
 *
 * Owns:    nothing; slices borrow the text
 * Thread:  any
 * Limits:  depth MF_NPU_XML_DEPTH
 * Fails:   MF_EINVAL with the byte and the reason
 */
#ifndef MF_NPU_XML_H
#define MF_NPU_XML_H

#include "base/base.h"
#include "base/err.h"
#include "base/str.h"

#define MF_NPU_XML_DEPTH 32

enum mf_npu_xml_kind { MF_NPU_XML_END, MF_NPU_XML_OPEN, MF_NPU_XML_CLOSE };

struct mf_npu_xml {
    struct mf_slice text;
    size_t at;
    struct mf_slice stack[MF_NPU_XML_DEPTH]; /* the elements that are open */
    size_t depth;
    bool was_empty; /* the last tag was <name/>: it is closed next */
    bool has_root;
    struct mf_err *err;
};

struct mf_npu_xml_tag {
    enum mf_npu_xml_kind kind;
    struct mf_slice name;
    struct mf_slice attributes; /* of an open tag: all of them */
};

MF_ANY void mf_npu_xml_init(struct mf_npu_xml *x, struct mf_slice text,
                            struct mf_err *err);
/* The next tag. While it is an open one, its own name is the last of the stack; after a
 * closing one it is gone. END: the text is over and was whole. */
MF_MUST MF_ANY int mf_npu_xml_next(struct mf_npu_xml *x, struct mf_npu_xml_tag *tag);
/* The value as it is written; false: there is none of this name. */
MF_MUST MF_ANY bool mf_npu_xml_attribute(const struct mf_npu_xml_tag *tag,
                                         const char *name, struct mf_slice *value);

#endif
