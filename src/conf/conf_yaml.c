/* SPDX-License-Identifier: Apache-2.0 */
/* YAML events to keys: nested mappings make the dotted name, scalars the value. */
#include "conf/conf.h"
#include "conf/key_table.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 8
#define MAX_NAME  192
#define READ_STEP ((size_t)64 << 10)
#define MAX_YAML  ((size_t)1 << 20)
#define MAX_PATH  4352
#define MAX_WHERE (MAX_PATH + 24) /* with ":line" */

struct reader {
    struct mf_conf *c;
    struct mf_conf_report *r;
    const char *file;
    char name[MAX_NAME];          /* dotted, of where we are */
    size_t name_n[MAX_DEPTH + 1]; /* its length at each depth */
    size_t depth;                 /* open mappings */
    bool wants_key;
    bool is_end;
    bool is_broken;     /* what follows would be misread */
    size_t n_skipped;   /* open lists and mappings of a value that is passed over */
    struct mf_buf seen; /* "\nname\n" of every key that was set, every section opened */
    int rc;
};

static void complain_at(struct reader *rd, size_t line, const char *what)
{
    char where[MAX_WHERE];

    (void)snprintf(where, sizeof(where), "%s:%zu", rd->file, line);
    rd->rc = mf_conf_complain(rd->r, where, "%s", what);
}

static bool was_seen(struct reader *rd)
{
    char mark[MAX_NAME + 2];
    int n = snprintf(mark, sizeof(mark), "\n%s\n", rd->name);

    if (rd->seen.n > 0 && memmem(rd->seen.p, rd->seen.n, mark, (size_t)n) != NULL) {
        return true;
    }
    mf_buf_add(&rd->seen, mark, (size_t)n);
    return false;
}

/* The value is left out: nothing there, or YAML's word for nothing. */
static bool is_nothing(const yaml_event_t *ev)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL"};
    struct mf_slice v = {(const char *)ev->data.scalar.value, ev->data.scalar.length};

    for (size_t i = 0; i < mf_countof(words); i++) {
        if (ev->data.scalar.plain_implicit && mf_slice_is(v, words[i])) {
            return true;
        }
    }
    return false;
}

static void take_key(struct reader *rd, const yaml_event_t *ev, size_t line)
{
    const char *key = (const char *)ev->data.scalar.value;
    size_t at = rd->name_n[rd->depth];
    int n =
        snprintf(rd->name + at, sizeof(rd->name) - at, "%s%s", at > 0 ? "." : "", key);

    if (n < 0 || (size_t)n >= sizeof(rd->name) - at ||
        strlen(key) != ev->data.scalar.length) {
        complain_at(rd, line, "a key is too long or not a word");
        rd->is_broken = true;
    }
    rd->wants_key = false;
}

static void take_value(struct reader *rd, const yaml_event_t *ev, size_t line)
{
    struct mf_slice value = {(const char *)ev->data.scalar.value,
                             ev->data.scalar.length};
    char where[MAX_WHERE];
    int rc;

    rd->wants_key = true;
    if (was_seen(rd)) {
        complain_at(rd, line, "the key stands here twice");
        return;
    }
    if (is_nothing(ev)) {
        value.n = 0;
        /* All keys of the section are commented out. */
        if (mf_conf_is_section(mf_slice_str(rd->name))) {
            return;
        }
    }
    (void)snprintf(where, sizeof(where), "%s:%zu", rd->file, line);
    rc = mf_conf_assign(rd->c, mf_slice_str(rd->name), value, where, rd->r);
    rd->rc = rc < 0 ? rc : rd->rc;
}

static void open_mapping(struct reader *rd, size_t line)
{
    if (rd->depth == MAX_DEPTH || (rd->depth > 0 && rd->wants_key)) {
        complain_at(rd, line,
                    rd->depth == MAX_DEPTH ? "too deeply nested"
                                           : "a key must be a word");
        rd->is_broken = true;
        return;
    }
    if (rd->depth > 0 && was_seen(rd)) {
        complain_at(rd, line, "the section stands here twice");
    }
    rd->depth++;
    rd->name_n[rd->depth] = rd->depth == 1 ? 0 : strlen(rd->name);
    rd->wants_key = true;
}

/* In a value's place it is passed over, so that the faults behind it are told, too. */
static void refuse(struct reader *rd, const yaml_event_t *ev, size_t line)
{
    bool is_list = ev->type == YAML_SEQUENCE_START_EVENT;

    complain_at(rd, line, is_list ? "no key takes a list" : "aliases are not taken");
    rd->is_broken = rd->depth == 0 || rd->wants_key;
    rd->n_skipped = is_list ? 1 : 0;
    rd->wants_key = true;
}

static void pass_over(struct reader *rd, yaml_event_type_t type)
{
    if (type == YAML_SEQUENCE_START_EVENT || type == YAML_MAPPING_START_EVENT) {
        rd->n_skipped++;
    } else if (type == YAML_SEQUENCE_END_EVENT || type == YAML_MAPPING_END_EVENT) {
        rd->n_skipped--;
    }
}

static void take_scalar(struct reader *rd, const yaml_event_t *ev, size_t line)
{
    if (rd->depth == 0 && !is_nothing(ev)) {
        complain_at(rd, line, "sections with keys were expected, not a lone value");
    } else if (rd->depth > 0 && rd->wants_key) {
        take_key(rd, ev, line);
    } else if (rd->depth > 0) {
        take_value(rd, ev, line);
    }
}

static void take_event(struct reader *rd, const yaml_event_t *ev)
{
    size_t line = ev->start_mark.line + 1;

    switch (ev->type) {
    case YAML_MAPPING_START_EVENT: open_mapping(rd, line); break;
    case YAML_MAPPING_END_EVENT:
        rd->depth--;
        rd->wants_key = true;
        break;
    case YAML_SCALAR_EVENT: take_scalar(rd, ev, line); break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_ALIAS_EVENT: refuse(rd, ev, line); break;
    case YAML_STREAM_END_EVENT: rd->is_end = true; break;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
    case YAML_SEQUENCE_END_EVENT: break;
    }
}

/* libyaml gives a line for what it cannot parse, and only an offset for what is not
 * even text. */
static void complain_of_parser(struct reader *rd, const yaml_parser_t *parser,
                               struct mf_slice yaml)
{
    size_t line = parser->problem_mark.line + 1;

    if (parser->error == YAML_MEMORY_ERROR) {
        rd->rc = MF_ENOMEM;
        return;
    }
    for (size_t i = 0; parser->error == YAML_READER_ERROR &&
                       i < mf_min(parser->problem_offset, yaml.n);
         i++) {
        line += yaml.p[i] == '\n';
    }
    complain_at(rd, line, parser->problem != NULL ? parser->problem : "not YAML");
}

static void run(struct reader *rd, yaml_parser_t *parser, struct mf_slice yaml)
{
    while (!rd->is_end && !rd->is_broken && rd->rc != MF_ENOMEM) {
        yaml_event_t ev;

        if (yaml_parser_parse(parser, &ev) == 0) {
            complain_of_parser(rd, parser, yaml);
            return;
        }
        if (rd->n_skipped > 0) {
            pass_over(rd, ev.type);
        } else {
            take_event(rd, &ev);
        }
        yaml_event_delete(&ev);
    }
}

int mf_conf_read_yaml(struct mf_conf *c, struct mf_slice yaml, const char *name,
                      struct mf_conf_report *r)
{
    struct reader rd = {.c = c, .r = r, .file = name, .wants_key = true};
    yaml_parser_t parser;

    if (yaml.n > MAX_YAML) {
        return mf_conf_complain(r, name, "larger than 1 MiB");
    }
    if (yaml_parser_initialize(&parser) == 0) {
        return MF_ENOMEM;
    }
    mf_buf_init(&rd.seen);
    yaml_parser_set_input_string(
        &parser, (const unsigned char *)(yaml.n > 0 ? yaml.p : ""), yaml.n);
    run(&rd, &parser, yaml);
    yaml_parser_delete(&parser);
    if (mf_buf_status(&rd.seen) < 0) {
        rd.rc = MF_ENOMEM;
    }
    mf_buf_fini(&rd.seen);
    return rd.rc;
}

/* 0, or an errno. */
static int read_whole(const char *path, struct mf_buf *out)
{
    FILE *f = fopen(path, "re");
    int sys = 0;
    size_t n = 1;

    if (f == NULL) {
        return errno;
    }
    while (sys == 0 && n > 0 && out->n <= MAX_YAML) {
        char *at = mf_buf_reserve(out, READ_STEP);

        n = at != NULL ? fread(at, 1, READ_STEP, f) : 0;
        out->n += n;
        if (at == NULL) {
            sys = ENOMEM;
        } else if (ferror(f) != 0) {
            sys = errno;
        }
    }
    (void)fclose(f);
    return sys;
}

static int complain_of_file(struct mf_conf_report *r, const char *path, int sys)
{
    if (sys == ENOMEM) {
        return MF_ENOMEM;
    }
    return mf_conf_complain(r, path, "cannot be read: %s", strerror(sys));
}

int mf_conf_read_file(struct mf_conf *c, const char *path, struct mf_conf_report *r)
{
    struct mf_buf text;
    int sys, rc;

    mf_buf_init(&text);
    sys = read_whole(path, &text);
    if (sys != 0) {
        rc = complain_of_file(r, path, sys);
    } else {
        rc = mf_conf_read_yaml(c, mf_slice_of(text.p, text.n), path, r);
    }
    mf_buf_fini(&text);
    return rc;
}

static int is_yaml_name(const struct dirent *d)
{
    size_t n = strlen(d->d_name);

    return n > 5 && d->d_name[0] != '.' && strcmp(d->d_name + n - 5, ".yaml") == 0;
}

/* By their bytes, whatever the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int mf_conf_read_dir(struct mf_conf *c, const char *dir, struct mf_conf_report *r)
{
    struct dirent **names;
    int rc = 0, n = scandir(dir, &names, is_yaml_name, compare_names);

    if (n < 0) {
        return errno == ENOENT ? 0 : complain_of_file(r, dir, errno);
    }
    for (int i = 0; i < n; i++) {
        char path[MAX_PATH];
        int one;

        (void)snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
        one = rc == MF_ENOMEM ? rc : mf_conf_read_file(c, path, r);
        rc = one < 0 ? one : rc;
        free(names[i]); /* scandir's own */
    }
    free(names);
    return rc;
}
