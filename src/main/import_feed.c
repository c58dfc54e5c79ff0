/* SPDX-License-Identifier: Apache-2.0 */
#include "main/import_feed.h"

#include "api/import_in.h"
#include "base/wallclock.h"
#include "main/import_lines.h"

struct mf_feed {
    struct mf_feed_config cfg;
    struct mf_lines lines;
    struct mf_json json;
};

int mf_feed_open(struct mf_feed **out, const struct mf_feed_config *cfg,
                 struct mf_err *err)
{
    struct mf_feed *f = mf_calloc(1, sizeof(*f));
    int rc;

    if (f == NULL) {
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    f->cfg = *cfg;
    rc = mf_lines_open(&f->lines, cfg->path, cfg->conf->server_max_body_bytes, err);
    if (rc < 0) {
        mf_free(f);
        return rc;
    }
    if (mf_json_init(&f->json, cfg->conf->limits_json_depth) < 0) {
        mf_lines_close(&f->lines);
        mf_free(f);
        return mf_err_set(err, MF_ENOMEM, "out of memory");
    }
    *out = f;
    return 0;
}

void mf_feed_close(struct mf_feed *f)
{
    if (f != NULL) {
        mf_json_fini(&f->json);
        mf_lines_close(&f->lines);
        mf_free(f);
    }
}

static int check_length(const struct mf_feed *f, struct mf_faults *faults)
{
    if (!f->lines.is_too_long) {
        return 0;
    }
    return mf_fault_add(faults, MF_ETOOBIG, "too_long", "body",
                        "the line has more than %zu bytes (server.max_body_bytes): "
                        "split it",
                        f->lines.max_line);
}

static void say_bad(const struct mf_feed *f, const struct mf_faults *faults,
                    struct mf_buf *said)
{
    mf_buf_addf(said, "%s:%llu: %s: %s", f->cfg.path,
                (unsigned long long)f->lines.number, faults->all[0].field,
                faults->all[0].msg);
    if (faults->n > 1) {
        mf_buf_addf(said, " (and %zu more)", faults->n - 1);
    }
    mf_buf_add_char(said, '\n');
}

/* Into the batch, or among what is said. */
static int take_line(struct mf_feed *f, struct mf_import_batch *b,
                     struct mf_feed_result *r)
{
    struct mf_faults faults = {.arena = &b->arena};
    struct mf_import_line line;
    int rc = check_length(f, &faults);

    if (rc == 0) {
        rc = mf_import_line_read(&f->json, f->cfg.conf,
                                 mf_slice_of(f->lines.line.p, f->lines.line.n), &faults,
                                 &line);
    }
    if (rc == 0) {
        line.number = f->lines.number;
        return mf_import_batch_add(b, &line, f->cfg.maker, mf_wallclock_us());
    }
    if (faults.n == 0) {
        return rc;
    }
    say_bad(f, &faults, &r->said);
    r->n_skipped++;
    r->is_bad = r->is_over = !f->cfg.skips_bad;
    return mf_buf_status(&r->said);
}

void mf_feed_fill(struct mf_feed *f, struct mf_import_batch *b,
                  struct mf_feed_result *r)
{
    struct mf_buf said = r->said;

    *r = (struct mf_feed_result){.said = said};
    mf_buf_reset(&r->said);
    while (r->rc == 0 && !r->is_over && b->n_rows < MF_FEED_ROWS &&
           b->bytes < MF_FEED_BYTES && b->arena.total < MF_FEED_MEMORY) {
        int n = mf_lines_next(&f->lines, &r->err);

        r->is_over = n == 0;
        r->rc = n <= 0 ? n : take_line(f, b, r);
    }
    if (r->rc < 0 && r->err.code == 0) {
        (void)mf_err_set(&r->err, r->rc, "%s:%llu: %s", f->cfg.path,
                         (unsigned long long)f->lines.number, mf_code_sentence(r->rc));
    }
    r->is_over = r->is_over || r->rc < 0;
}
