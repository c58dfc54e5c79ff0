/* SPDX-License-Identifier: Apache-2.0 */
#include "npu/xml.h"

#include <stdio.h>
#include <string.h>

static const char blanks[] = " \t\r\n";

static bool is_blank(char c)
{
    return c != '\0' && strchr(blanks, c) != NULL;
}

static bool is_name_char(char c, bool is_first)
{
    bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

    return is_letter ||
           (!is_first && ((c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':'));
}

static int refuse(const struct mf_npu_xml *x, const char *what)
{
    return mf_err_set(x->err, MF_EINVAL, "byte %zu of its XML: %s", x->at, what);
}

void mf_npu_xml_init(struct mf_npu_xml *x, struct mf_slice text, struct mf_err *err)
{
    *x = (struct mf_npu_xml){.text = text, .err = err};
}

static bool begins_with(const struct mf_npu_xml *x, struct mf_slice word)
{
    return x->text.n - x->at >= word.n &&
           memcmp(x->text.p + x->at, word.p, word.n) == 0;
}

static char peek(const struct mf_npu_xml *x)
{
    char c = '\0';

    if (x->at < x->text.n) {
        c = x->text.p[x->at];
    }
    return c;
}

static void skip_blanks(struct mf_npu_xml *x)
{
    while (is_blank(peek(x))) {
        x->at++;
    }
}

/* To behind `end`; what stands between is not looked at. */
static int skip_past(struct mf_npu_xml *x, struct mf_slice end, const char *what)
{
    const char *from = x->text.p + x->at;
    const char *at = memmem(from, x->text.n - x->at, end.p, end.n);

    if (at == NULL) {
        return refuse(x, what);
    }
    if (memchr(from, '\0', (size_t)(at - from)) != NULL) {
        return refuse(x, "a zero byte follows");
    }
    x->at += (size_t)(at - from) + end.n;
    return 0;
}

/* What the digit is worth; `base` when it is none. */
static uint32_t digit_of(char c, uint32_t base)
{
    uint32_t v = base;

    if (c >= '0' && c <= '9') {
        v = (uint32_t)(c - '0');
    } else if ((c | 32) >= 'a' && (c | 32) <= 'f') {
        v = (uint32_t)((c | 32) - 'a') + 10;
    }
    return mf_min(v, base);
}

/* Behind "&#": what a reader would put in as a code point. */
static bool take_code_point(struct mf_npu_xml *x)
{
    uint32_t base = peek(x) == 'x' ? 16 : 10, code = 0;
    size_t from;

    x->at += base == 16 ? 1 : 0;
    from = x->at;
    while (digit_of(peek(x), base) < base && code <= 0x10ffff) {
        code = code * base + digit_of(peek(x), base);
        x->at++;
    }
    return x->at > from && code > 0 && code <= 0x10ffff && peek(x) == ';';
}

static int take_reference(struct mf_npu_xml *x)
{
    static const struct mf_slice known[] = {MF_SLICE("&amp;"), MF_SLICE("&lt;"),
                                            MF_SLICE("&gt;"), MF_SLICE("&quot;"),
                                            MF_SLICE("&apos;")};

    for (size_t i = 0; i < mf_countof(known); i++) {
        if (begins_with(x, known[i])) {
            x->at += known[i].n;
            return 0;
        }
    }
    if (begins_with(x, MF_SLICE("&#"))) {
        x->at += 2;
        if (take_code_point(x)) {
            x->at++;
            return 0;
        }
    }
    return refuse(x, "'&' begins no known character");
}

/* Characters up to one of `ends`, which is not taken. */
static int take_characters(struct mf_npu_xml *x, const char *ends, const char *what)
{
    while (x->at < x->text.n) {
        char c = x->text.p[x->at];
        int rc = 0;

        if (c == '\0') {
            return refuse(x, "a zero byte");
        }
        if (strchr(ends, c) != NULL) {
            return 0;
        }
        if (c == '&') {
            rc = take_reference(x);
        } else {
            x->at++;
        }
        if (rc < 0) {
            return rc;
        }
    }
    return refuse(x, what);
}

static struct mf_slice take_name(struct mf_npu_xml *x)
{
    size_t from = x->at;

    while (is_name_char(peek(x), x->at == from)) {
        x->at++;
    }
    return mf_slice_of(x->text.p + from, x->at - from);
}

static int take_attribute(struct mf_npu_xml *x)
{
    char quote[3] = "<";
    int rc;

    if (take_name(x).n == 0) {
        return refuse(x, "the name of an attribute is expected");
    }
    skip_blanks(x);
    if (peek(x) != '=') {
        return refuse(x, "'=' is expected behind an attribute's name");
    }
    x->at++;
    skip_blanks(x);
    quote[1] = peek(x);
    if (quote[1] != '"' && quote[1] != '\'') {
        return refuse(x, "a quote is expected before an attribute's value");
    }
    x->at++;
    rc = take_characters(x, quote, "an attribute's value does not end");
    if (rc == 0 && peek(x) == '<') {
        rc = refuse(x, "'<' in an attribute's value");
    }
    x->at += rc == 0 ? 1 : 0;
    return rc;
}

static int take_attributes(struct mf_npu_xml *x)
{
    for (;;) {
        size_t from = x->at;
        int rc;

        skip_blanks(x);
        if (peek(x) == '>' || peek(x) == '/') {
            return 0;
        }
        if (x->at == from) {
            return refuse(x, "a blank, '>' or '/>' is expected in a tag");
        }
        rc = take_attribute(x);
        if (rc < 0) {
            return rc;
        }
    }
}

static int take_open(struct mf_npu_xml *x, struct mf_npu_xml_tag *tag)
{
    size_t from;
    int rc;

    if (x->depth == MF_NPU_XML_DEPTH) {
        return refuse(x, "more than 32 elements in one another");
    }
    if (x->depth == 0 && x->has_root) {
        return refuse(x, "a second root element");
    }
    x->at++;
    tag->kind = MF_NPU_XML_OPEN;
    tag->name = take_name(x);
    if (tag->name.n == 0) {
        return refuse(x, "the name of an element is expected");
    }
    from = x->at;
    rc = take_attributes(x);
    if (rc < 0) {
        return rc;
    }
    tag->attributes = mf_slice_of(x->text.p + from, x->at - from);
    x->was_empty = peek(x) == '/';
    x->at += x->was_empty ? 1 : 0;
    if (peek(x) != '>') {
        return refuse(x, "'>' is expected");
    }
    x->at++;
    x->has_root = true;
    x->stack[x->depth++] = tag->name;
    return 0;
}

static int take_close(struct mf_npu_xml *x, struct mf_npu_xml_tag *tag)
{
    x->at += 2;
    tag->kind = MF_NPU_XML_CLOSE;
    tag->name = take_name(x);
    if (x->depth == 0 || !mf_slice_eq(tag->name, x->stack[x->depth - 1])) {
        return refuse(x, "an element is closed that is not the innermost open one");
    }
    skip_blanks(x);
    if (peek(x) != '>') {
        return refuse(x, "'>' is expected");
    }
    x->at++;
    x->depth--;
    return 0;
}

/* What may stand between tags and is no text. 1: there was something. */
static int take_aside(struct mf_npu_xml *x)
{
    int rc = 1;

    if (begins_with(x, MF_SLICE("<?"))) {
        rc = skip_past(x, MF_SLICE("?>"), "'?>' is missing");
    } else if (begins_with(x, MF_SLICE("<!--"))) {
        x->at += 4;
        rc = skip_past(x, MF_SLICE("-->"), "a comment does not end");
    } else if (begins_with(x, MF_SLICE("<![CDATA[")) && x->depth > 0) {
        rc = skip_past(x, MF_SLICE("]]>"), "']]>' is missing");
    } else if (begins_with(x, MF_SLICE("<!"))) {
        return refuse(x, "'<!' begins something that is not read here");
    } else {
        return 0;
    }
    return rc < 0 ? rc : 1;
}

/* Zeros behind the root are padding. */
static void skip_padding(struct mf_npu_xml *x)
{
    bool is_over = x->depth == 0 && x->has_root;

    skip_blanks(x);
    while (is_over && x->at < x->text.n && x->text.p[x->at] == '\0') {
        x->at++;
    }
}

static int end_text(const struct mf_npu_xml *x)
{
    if (x->depth > 0) {
        return refuse(x, "it ends before all elements are closed");
    }
    return x->has_root ? 0 : refuse(x, "it holds no element");
}

/* Text between two tags. 1: there was some. */
static int take_text(struct mf_npu_xml *x)
{
    int rc;

    if (peek(x) == '<') {
        return 0;
    }
    if (x->depth == 0) {
        return refuse(x, "text outside of the root element");
    }
    rc = take_characters(x, "<", "it ends before all elements are closed");
    return rc < 0 ? rc : 1;
}

/* To the next tag, or to the end of the text: then nothing is left. */
static int skip_to_tag(struct mf_npu_xml *x)
{
    int rc;

    do {
        skip_padding(x);
        if (x->at == x->text.n) {
            return end_text(x);
        }
        rc = take_text(x);
        rc = rc == 0 ? take_aside(x) : rc;
    } while (rc > 0);
    return rc;
}

int mf_npu_xml_next(struct mf_npu_xml *x, struct mf_npu_xml_tag *tag)
{
    int rc;

    *tag = (struct mf_npu_xml_tag){.kind = MF_NPU_XML_END};
    if (x->was_empty) {
        x->was_empty = false;
        tag->kind = MF_NPU_XML_CLOSE;
        tag->name = x->stack[--x->depth];
        return 0;
    }
    rc = skip_to_tag(x);
    if (rc < 0 || x->at == x->text.n) {
        return rc;
    }
    return begins_with(x, MF_SLICE("</")) ? take_close(x, tag) : take_open(x, tag);
}

bool mf_npu_xml_attribute(const struct mf_npu_xml_tag *tag, const char *name,
                          struct mf_slice *value)
{
    struct mf_npu_xml x = {.text = tag->attributes};

    for (;;) {
        struct mf_slice key;
        const char *end;
        char quote;

        skip_blanks(&x);
        key = take_name(&x);
        if (key.n == 0) {
            return false;
        }
        skip_blanks(&x);
        x.at++; /* '=' */
        skip_blanks(&x);
        quote = peek(&x);
        x.at++;
        end = memchr(x.text.p + x.at, quote, x.text.n - x.at);
        MF_ASSERT(end != NULL); /* it was there when the tag was taken */
        if (mf_slice_is(key, name)) {
            *value = mf_slice_of(x.text.p + x.at, (size_t)(end - x.text.p) - x.at);
            return true;
        }
        x.at = (size_t)(end - x.text.p) + 1;
    }
}
