/* SPDX-License-Identifier: Apache-2.0 */
#include "hub/pull.h"

#include "hub/disk.h"
#include "hub/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_URL 1024

struct pull {
    const struct mf_hub_options *o;
    struct mf_hub_pulled *out;
    struct mf_err *err;
    struct mf_web *web;
    int n_base;          /* bytes of the base without slashes at its end */
    int models, partial; /* open folders */
    char partial_name[MF_HUB_NAME_MAX + 8];
    struct mf_hub_listing listing;
    struct mf_manifest whole; /* what is in the partial folder, checked */
};

/* ---- before ---- */

static int check_options(struct pull *p)
{
    const struct mf_hub_options *o = p->o;
    struct mf_hub_pulled *out = p->out;
    const char *leaf = mf_hub_leaf(o->name);
    int n, m;

    if (!mf_hub_name_ok(o->name)) {
        return mf_err_set(p->err, MF_EINVAL,
                          "'%.80s' is no model's name: owner/name, of letters, digits, "
                          "'.', '_' and '-'",
                          o->name);
    }
    if (!mf_hub_revision_ok(o->revision)) {
        return mf_err_set(
            p->err, MF_EINVAL,
            "'%.80s' is no revision: a branch, tag or commit, of letters, "
            "digits, '.', '_' and '-'",
            o->revision);
    }
    (void)snprintf(p->partial_name, sizeof(p->partial_name), ".%s.part", leaf);
    n = snprintf(out->folder, sizeof(out->folder), "%s/%s", o->models, leaf);
    m = snprintf(out->partial, sizeof(out->partial), "%s/%s", o->models,
                 p->partial_name);
    if (n < 0 || m < 0 || (size_t)m >= sizeof(out->partial)) {
        return mf_err_set(p->err, MF_EINVAL, "the folder's name is too long");
    }
    p->n_base = (int)strlen(o->base);
    while (p->n_base > 0 && o->base[p->n_base - 1] == '/') {
        p->n_base--;
    }
    return 0;
}

static int read_listing(struct pull *p)
{
    char url[MAX_URL];
    struct mf_fetch_from from = {.web = p->web, .options = p->o, .url = url};
    struct mf_buf text;
    int n = snprintf(url, sizeof(url), "%.*s/api/models/%s/revision/%s?blobs=true",
                     p->n_base, p->o->base, p->o->name, p->o->revision);
    int rc;

    if (n < 0 || (size_t)n >= sizeof(url)) {
        return mf_err_set(p->err, MF_EINVAL, "the base address is too long");
    }
    mf_buf_init(&text);
    rc = mf_fetch_text(&from, MF_HUB_LISTING_MAX, &text, p->err);
    if (rc == 0) {
        rc = mf_hub_listing_read(&p->listing, mf_slice_of(text.p, text.n), p->err);
    }
    mf_buf_fini(&text);
    (void)snprintf(p->out->revision, sizeof(p->out->revision), "%s",
                   p->listing.revision[0] != '\0' ? p->listing.revision
                                                  : p->o->revision);
    return rc < 0 ? mf_err_wrap(p->err, rc, "%s", p->o->name) : 0;
}

/* Of two commits nothing may be mixed; without one we cannot tell. */
static bool is_ours(const struct pull *p, const struct mf_manifest *m)
{
    return p->listing.revision[0] != '\0' && strcmp(m->name, p->o->name) == 0 &&
           strcmp(m->revision, p->listing.revision) == 0;
}

/* 0: nothing is there; 1: what is wanted is there. */
static int look_for_model(struct pull *p)
{
    const char *leaf = mf_hub_leaf(p->o->name);
    struct mf_manifest there;
    struct stat st;
    int fd, rc;

    if (fstatat(p->models, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
        return 0;
    }
    fd = openat(p->models, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rc = fd < 0 ? MF_EEXIST : mf_manifest_read(&there, fd, NULL);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc == 0 && is_ours(p, &there)) {
        p->out->was_there = true;
        return 1;
    }
    return mf_err_set(p->err, MF_EEXIST,
                      "%.120s is there already, from elsewhere or of another revision; "
                      "remove it or name another folder with --to",
                      p->out->folder);
}

/* ---- the partial folder ---- */

static int open_partial(struct pull *p)
{
    if (mkdirat(p->models, p->partial_name, 0755) < 0 && errno != EEXIST) {
        int code = mf_code_from_errno(errno);

        return mf_err_set(p->err, code, "%.150s: %s", p->out->partial,
                          mf_code_sentence(code));
    }
    p->partial = openat(p->models, p->partial_name,
                        O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (p->partial < 0) {
        return mf_err_set(p->err, MF_EIO, "%.150s is no folder", p->out->partial);
    }
    if (flock(p->partial, LOCK_EX | LOCK_NB) < 0) {
        return mf_err_set(p->err, MF_EBUSY, "another pull into %.150s is under way",
                          p->out->partial);
    }
    return 0;
}

static int begin_anew(struct pull *p)
{
    struct mf_manifest *m = &p->whole;
    int rc;

    (void)close(p->partial);
    p->partial = -1;
    rc = mf_hub_remove_tree(p->models, p->partial_name, p->err);
    if (rc == 0) {
        rc = open_partial(p);
    }
    if (rc < 0) {
        return rc;
    }
    memset(m, 0, sizeof(*m));
    (void)snprintf(m->name, sizeof(m->name), "%s", p->o->name);
    (void)snprintf(m->revision, sizeof(m->revision), "%s", p->out->revision);
    return mf_manifest_write(m, p->partial, p->err);
}

static int take_up(struct pull *p)
{
    int rc = open_partial(p);

    if (rc < 0) {
        return rc;
    }
    rc = mf_manifest_read(&p->whole, p->partial, NULL);
    return rc == 0 && is_ours(p, &p->whole) ? 0 : begin_anew(p);
}

/* ---- the files ---- */

static void say_whole(struct pull *p, const struct mf_manifest_file *f, bool was_there)
{
    p->out->n_files++;
    p->out->bytes += f->bytes;
    if (p->o->progress != NULL) {
        p->o->progress(p->o->arg, &(struct mf_hub_progress){.file = f->path,
                                                            .done = f->bytes,
                                                            .total = f->bytes,
                                                            .is_whole = true,
                                                            .was_there = was_there});
    }
}

static bool is_there(struct pull *p, const struct mf_hub_file *want)
{
    const struct mf_manifest_file *f = mf_manifest_find(&p->whole, want->path);

    if (f == NULL || mf_manifest_check(f, p->partial, NULL) < 0 ||
        (want->sha256[0] != '\0' && strcmp(want->sha256, f->sha256) != 0)) {
        return false;
    }
    p->out->n_compared += want->sha256[0] != '\0';
    say_whole(p, f, true);
    return true;
}

static int make_parent(struct pull *p, const char *path)
{
    char parent[MF_HUB_FILE_NAME_MAX];
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return 0;
    }
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - path), path);
    if (mkdirat(p->partial, parent, 0755) < 0 && errno != EEXIST) {
        return mf_err_set(p->err, mf_code_from_errno(errno), "%s cannot be made",
                          parent);
    }
    return 0;
}

static int pull_file(struct pull *p, const struct mf_hub_file *want)
{
    char url[MAX_URL];
    struct mf_fetch_from from = {.web = p->web, .options = p->o, .url = url};
    struct mf_fetched got;
    int n = snprintf(url, sizeof(url), "%.*s/%s/resolve/%s/%s", p->n_base, p->o->base,
                     p->o->name, p->out->revision, want->path);
    int rc;

    if (n < 0 || (size_t)n >= sizeof(url)) {
        return mf_err_set(p->err, MF_EINVAL, "the base address is too long");
    }
    if (is_there(p, want)) {
        return 0;
    }
    rc = make_parent(p, want->path);
    if (rc == 0) {
        rc = mf_fetch_file(&from, p->partial, want, &got, p->err);
    }
    if (rc == 0) {
        rc = mf_manifest_put(&p->whole, &got.file);
    }
    if (rc == 0) {
        rc = mf_manifest_write(&p->whole, p->partial, p->err);
    }
    if (rc == 0) {
        p->out->n_compared += got.is_compared;
        say_whole(p, &got.file, false);
    }
    return rc;
}

/* From here on it is a model. */
static int put_in_place(struct pull *p)
{
    if (fsync(p->partial) < 0 ||
        renameat(p->models, p->partial_name, p->models, mf_hub_leaf(p->o->name)) < 0 ||
        fsync(p->models) < 0) {
        int code = mf_code_from_errno(errno);

        return mf_err_set(p->err, code, "%.150s cannot be put in place: %s",
                          p->out->folder, mf_code_sentence(code));
    }
    return 0;
}

static int run(struct pull *p)
{
    int rc = check_options(p);

    if (rc == 0) {
        rc = mf_web_open(&p->web, p->o->base, p->err);
    }
    if (rc == 0) {
        rc = read_listing(p);
    }
    if (rc == 0) {
        p->models = mf_hub_open_dir(p->o->models, true, p->err);
        rc = p->models < 0 ? p->models : look_for_model(p);
    }
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    rc = take_up(p);
    for (size_t i = 0; rc == 0 && i < p->listing.n_files; i++) {
        rc = pull_file(p, &p->listing.files[i]);
    }
    return rc < 0 ? rc : put_in_place(p);
}

int mf_hub_pull(struct mf_hub_pulled *out, const struct mf_hub_options *o,
                struct mf_err *err)
{
    struct pull p = {.o = o, .out = out, .err = err, .models = -1, .partial = -1};
    int rc;

    memset(out, 0, sizeof(*out));
    rc = run(&p);
    if (p.partial >= 0) {
        (void)close(p.partial);
    }
    if (p.models >= 0) {
        (void)close(p.models);
    }
    mf_web_close(p.web);
    return rc;
}
