/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/engine_kit.h"

#include "lib/test_file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define POOL_THREADS 24
#define WAIT_MS      60000
#define STEP_MS      2
#define ARENA_BLOCK  4096

static void on_fatal(const struct mf_err *err, void *arg)
{
    struct kit *k = arg;

    print_message("fatal: %s\n", err->msg);
    k->n_fatal++;
}

static void format_add(const struct mf_item *it, struct mf_buf *out,
                       MF_UNUSED void *arg)
{
    mf_buf_add_str(out, "added:");
    for (uint32_t i = 0; i < it->n_msgs; i++) {
        mf_buf_add(out, it->msgs[i].id.p, it->msgs[i].id.n);
    }
}

static void copy_slice(char *out, size_t cap, struct mf_slice s)
{
    MF_CHECK(s.n < cap);
    memcpy(out, s.p, s.n);
    out[s.n] = '\0';
}

/* ---- open and close ---- */

static void set_all(struct kit *k, const char *const *settings)
{
    struct mf_conf_report r = {.n_problems = 0};
    char dir[sizeof(k->dir) + 16];

    mf_buf_init(&r.text);
    MF_CHECK_OK(mf_conf_init(&k->conf));
    (void)snprintf(dir, sizeof(dir), "data.dir=%s", k->dir);
    MF_CHECK_OK(mf_conf_set(&k->conf, dir, &r));
    for (; settings != NULL && *settings != NULL; settings++) {
        MF_CHECK_OK(mf_conf_set(&k->conf, *settings, &r));
    }
    mf_buf_fini(&r.text);
}

MF_LOOP static void open_engine(struct kit *k)
{
    struct mf_engine_events ev = {
        .fatal = on_fatal, .format_add = format_add, .arg = k};
    struct mf_err err = {0};
    int rc = mf_engine_open(&k->e, k->loop, &k->conf, &k->model->model, &ev, &err);

    if (rc < 0) {
        fail_msg("engine: %s", err.msg);
    }
    k->is_closed = false;
}

struct made {
    struct mf_entity_call c;
    struct mf_arena arena;
    bool is_done;
    int rc;
};

static void on_made(struct mf_call *c, int rc)
{
    struct made *m = mf_container_of(c, struct made, c.call);

    m->rc = rc;
    m->is_done = true;
}

MF_LOOP static void make_entity(struct kit *k, enum mf_entity_kind kind,
                                struct mf_entity in, struct kit_id *out)
{
    struct made m;

    memset(&m, 0, sizeof(m));
    mf_arena_init(&m.arena, ARENA_BLOCK);
    m.c.call = (struct mf_call){.scope = &k->scope, .arena = &m.arena, .done = on_made};
    m.c.kind = kind;
    m.c.ins = &in;
    m.c.n_ins = 1;
    MF_CHECK_OK(mf_engine_entity_create(k->e, &m.c));
    mf_loop_fixture_wait(k->loop, &m.is_done);
    MF_CHECK_OK(m.rc);
    copy_slice(out->s, sizeof(out->s), m.c.rows[0].id);
    mf_arena_fini(&m.arena);
}

void kit_open(struct kit *k, const struct mf_fake_config *model,
              const char *const *settings)
{
    static const struct mf_fake_config plain = {.dim = 8};
    static const struct mf_loop_config cfg = {.pool_threads = POOL_THREADS};

    memset(k, 0, sizeof(*k));
    MF_CHECK_OK(mf_loop_open(&k->loop, &cfg, NULL));
    mf_loop_assert(k->loop);
    k->scope = mf_scope_admin();
    (void)snprintf(k->dir, sizeof(k->dir), "%s/a", mf_test_tmpdir());
    MF_CHECK_OK(mkdir(k->dir, 0700));
    k->model = mf_fake_model_open(model == NULL ? &plain : model);
    MF_CHECK(k->model != NULL);
    set_all(k, settings);
    open_engine(k);
    make_entity(k, MF_ENTITY_USER, (struct mf_entity){.name = mf_slice_str("ann")},
                &k->user);
    make_entity(k, MF_ENTITY_AGENT, (struct mf_entity){.name = mf_slice_str("guide")},
                &k->agent);
    make_entity(k, MF_ENTITY_SESSION,
                (struct mf_entity){.name = mf_slice_str("trip"),
                                   .user_id = mf_slice_str(k->user.s),
                                   .agent_id = mf_slice_str(k->agent.s)},
                &k->session);
}

void kit_on_closed(void *arg)
{
    struct kit *k = arg;

    k->is_closed = true;
}

void kit_stop(struct kit *k)
{
    mf_engine_close(k->e, kit_on_closed, k);
    mf_loop_fixture_wait(k->loop, &k->is_closed);
    k->e = NULL;
}

void kit_reopen(struct kit *k)
{
    open_engine(k);
}

void kit_close(struct kit *k)
{
    kit_stop(k);
    mf_model_close(&k->model->model);
    mf_conf_fini(&k->conf);
    mf_loop_fixture_close(k->loop);
    MF_CHECK_INT(k->n_fatal, 0);
}

/* Shared memory is gone after a power cut. No descriptor of the store's own files may
 * be closed here but through SQLite, or its locks are lost: nobody else needs them. */
static void copy_folder(const char *from, const char *to)
{
    DIR *d = opendir(from);
    struct dirent *de;

    MF_CHECK(d != NULL);
    MF_CHECK_OK(mkdir(to, 0700));
    while ((de = readdir(d)) != NULL) {
        char a[512], b[512];

        if (de->d_type != DT_REG || strstr(de->d_name, "-shm") != NULL) {
            continue;
        }
        (void)snprintf(a, sizeof(a), "%s/%s", from, de->d_name);
        (void)snprintf(b, sizeof(b), "%s/%s", to, de->d_name);
        mf_test_copy(a, b);
    }
    (void)closedir(d);
}

void kit_cut_power(struct kit *k)
{
    struct mf_conf_report r = {.n_problems = 0};
    char to[sizeof(k->dir) + 2], set[sizeof(k->dir) + 16];

    (void)snprintf(to, sizeof(to), "%sx", k->dir);
    copy_folder(k->dir, to);
    kit_stop(k);
    (void)snprintf(k->dir, sizeof(k->dir), "%s", to);
    (void)snprintf(set, sizeof(set), "data.dir=%s", k->dir);
    mf_buf_init(&r.text);
    MF_CHECK_OK(mf_conf_set(&k->conf, set, &r));
    mf_buf_fini(&r.text);
    kit_reopen(k);
}

/* ---- adds ---- */

static void on_added(struct mf_call *c, int rc)
{
    struct kit_add *a = mf_container_of(c, struct kit_add, c.call);

    for (uint32_t i = 0; rc == 0 && i < a->c.n_msgs; i++) {
        copy_slice(a->ids[i].s, sizeof(a->ids[i].s), a->c.ids[i]);
    }
    a->rc = rc;
    a->is_done = true;
}

void kit_fill_add(struct kit *k, struct kit_add *a, const char *text)
{
    memset(a, 0, sizeof(*a));
    mf_arena_init(&a->arena, ARENA_BLOCK);
    (void)snprintf(a->text[0], sizeof(a->text[0]), "%s", text);
    a->msgs[0].content = mf_slice_str(a->text[0]);
    a->c.call =
        (struct mf_call){.scope = &k->scope, .arena = &a->arena, .done = on_added};
    a->c.session_id = mf_slice_str(k->session.s);
    a->c.msgs = a->msgs;
    a->c.n_msgs = 1;
}

void kit_submit_add(struct kit *k, struct kit_add *a)
{
    int rc = mf_engine_add(k->e, &a->c);

    if (rc < 0) {
        a->rc = rc;
        a->is_done = true;
    }
}

void kit_add_begin(struct kit *k, struct kit_add *a, const char *text)
{
    kit_fill_add(k, a, text);
    kit_submit_add(k, a);
}

int kit_add_end(struct kit *k, struct kit_add *a)
{
    mf_loop_fixture_wait(k->loop, &a->is_done);
    mf_arena_fini(&a->arena);
    return a->rc;
}

void kit_add(struct kit *k, const char *text, struct kit_id *id)
{
    struct kit_add a;

    kit_add_begin(k, &a, text);
    if (kit_add_end(k, &a) < 0) {
        fail_msg("add: %s", a.c.call.err.msg);
    }
    if (id != NULL) {
        *id = a.ids[0];
    }
}

int kit_try_add(struct kit *k, const char *text, const char *id)
{
    struct kit_add a;

    kit_fill_add(k, &a, text);
    if (id != NULL) {
        a.msgs[0].id = mf_slice_str(id);
    }
    kit_submit_add(k, &a);
    return kit_add_end(k, &a);
}

/* ---- what is there ---- */

struct messages {
    struct mf_messages_call c;
    struct mf_arena arena;
    struct kit_rows *out;
    bool is_done;
    int rc;
};

static void take_row(struct kit_rows *out, struct mf_slice id, struct mf_slice text,
                     const char *source)
{
    MF_CHECK(out->n < KIT_MAX_IDS);
    copy_slice(out->row[out->n].id.s, sizeof(out->row[0].id.s), id);
    copy_slice(out->row[out->n].text, KIT_TEXT, text);
    out->row[out->n].is_stored = strcmp(source, "store") == 0;
    out->n++;
}

static void on_messages(struct mf_call *c, int rc)
{
    struct messages *m = mf_container_of(c, struct messages, c.call);

    for (size_t i = 0; rc == 0 && m->out != NULL && i < m->c.n_rows; i++) {
        take_row(m->out, m->c.rows[i].id, m->c.rows[i].content, m->c.rows[i].source);
    }
    m->rc = rc;
    m->is_done = true;
}

static void fill_messages(struct kit *k, struct messages *m)
{
    memset(m, 0, sizeof(*m));
    mf_arena_init(&m->arena, ARENA_BLOCK);
    m->c.call =
        (struct mf_call){.scope = &k->scope, .arena = &m->arena, .done = on_messages};
    m->c.session_id = mf_slice_str(k->session.s);
}

MF_LOOP static int end_messages(struct kit *k, struct messages *m, int rc)
{
    if (rc == 0) {
        mf_loop_fixture_wait(k->loop, &m->is_done);
        rc = m->rc;
    }
    mf_arena_fini(&m->arena);
    return rc;
}

void kit_list(struct kit *k, struct kit_rows *out)
{
    struct messages m;

    out->n = 0;
    fill_messages(k, &m);
    m.out = out;
    m.c.limit = KIT_MAX_IDS;
    MF_CHECK_OK(end_messages(k, &m, mf_engine_list(k->e, &m.c)));
}

int kit_update(struct kit *k, const struct kit_id *id, const char *text)
{
    struct mf_slice ids[1] = {mf_slice_str(id->s)};
    struct mf_msg news = {.content = mf_slice_str(text)};
    struct messages m;

    fill_messages(k, &m);
    m.c.ids = ids;
    m.c.n_ids = 1;
    m.c.news = &news;
    return end_messages(k, &m, mf_engine_update(k->e, &m.c));
}

int kit_delete(struct kit *k, const struct kit_id *id)
{
    struct mf_slice ids[1] = {mf_slice_str(id->s)};
    struct messages m;

    fill_messages(k, &m);
    m.c.ids = ids;
    m.c.n_ids = 1;
    return end_messages(k, &m, mf_engine_delete(k->e, &m.c));
}

struct ask {
    struct mf_ask_call c;
    struct mf_arena arena;
    struct kit_answer *out;
    bool is_done;
    int rc;
};

static void on_asked(struct mf_call *c, int rc)
{
    struct ask *a = mf_container_of(c, struct ask, c.call);

    for (size_t i = 0; rc == 0 && i < a->c.n_found; i++) {
        const struct mf_query_hit *h = &a->c.found[i].hit;

        take_row(&a->out->rows, h->row.msg.id, h->row.msg.content, h->source);
        a->out->has_vector[i] = h->scan.has_vector;
        a->out->similarity[i] = h->scan.similarity;
    }
    a->out->no_vector = a->c.no_vector;
    a->out->is_partial = a->c.is_partial;
    a->rc = rc;
    a->is_done = true;
}

void kit_ask(struct kit *k, const char *text, struct kit_answer *out)
{
    struct ask a;

    memset(&a, 0, sizeof(a));
    memset(out, 0, sizeof(*out));
    mf_arena_init(&a.arena, ARENA_BLOCK);
    a.out = out;
    a.c.call =
        (struct mf_call){.scope = &k->scope, .arena = &a.arena, .done = on_asked};
    a.c.user_id = mf_slice_str(k->user.s);
    a.c.text = mf_slice_str(text);
    a.c.top_k = KIT_MAX_IDS;
    MF_CHECK_OK(mf_engine_ask(k->e, &a.c));
    mf_loop_fixture_wait(k->loop, &a.is_done);
    MF_CHECK_OK(a.rc);
    mf_arena_fini(&a.arena);
}

size_t kit_n_found(struct kit *k, const char *text, const struct kit_id *id)
{
    struct kit_answer answer;
    size_t n = 0;

    kit_ask(k, text, &answer);
    for (size_t i = 0; i < answer.rows.n; i++) {
        n += strcmp(answer.rows.row[i].id.s, id->s) == 0;
    }
    return n;
}

struct plain {
    struct mf_call c;
    bool is_done;
    int rc;
};

static void on_plain(struct mf_call *c, int rc)
{
    struct plain *p = mf_container_of(c, struct plain, c);

    p->rc = rc;
    p->is_done = true;
}

void kit_flush(struct kit *k)
{
    struct plain p;
    struct mf_arena arena;

    memset(&p, 0, sizeof(p));
    mf_arena_init(&arena, ARENA_BLOCK);
    p.c = (struct mf_call){.scope = &k->scope, .arena = &arena, .done = on_plain};
    MF_CHECK_OK(mf_engine_flush(k->e, &p.c));
    mf_loop_fixture_wait(k->loop, &p.is_done);
    MF_CHECK_OK(p.rc);
    mf_arena_fini(&arena);
}

size_t kit_requeue(struct kit *k)
{
    struct plain p;
    struct mf_arena arena;
    size_t n = 0;

    memset(&p, 0, sizeof(p));
    mf_arena_init(&arena, ARENA_BLOCK);
    p.c = (struct mf_call){.scope = &k->scope, .arena = &arena, .done = on_plain};
    MF_CHECK_OK(mf_engine_requeue(k->e, &p.c, &n));
    mf_loop_fixture_wait(k->loop, &p.is_done);
    MF_CHECK_OK(p.rc);
    mf_arena_fini(&arena);
    return n;
}

/* ---- waiting and looking from outside ---- */

void kit_linger(struct kit *k, unsigned ms)
{
    static const bool never = false;
    uint64_t until = mf_loop_now_ms(k->loop) + ms;

    do {
        (void)mf_loop_run_until(k->loop, &never, STEP_MS);
    } while (mf_loop_now_ms(k->loop) < until);
}

void kit_wait(struct kit *k, kit_cond_fn cond, void *arg)
{
    uint64_t until = mf_loop_now_ms(k->loop) + WAIT_MS;

    while (!cond(k, arg)) {
        MF_CHECK(mf_loop_now_ms(k->loop) < until);
        kit_linger(k, STEP_MS);
    }
}

sqlite3 *kit_store_file(struct kit *k)
{
    char path[sizeof(k->dir) + 16];
    sqlite3 *db;

    (void)snprintf(path, sizeof(path), "%s/memfuse.db", k->dir);
    MF_CHECK_INT(sqlite3_open(path, &db), SQLITE_OK);
    MF_CHECK_INT(sqlite3_busy_timeout(db, 10000), SQLITE_OK);
    return db;
}

void kit_sql(sqlite3 *db, const char *sql)
{
    char *why = NULL;

    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) {
        fail_msg("%s: %s", sql, why);
    }
}

long kit_number(struct kit *k, const char *sql)
{
    sqlite3 *db = kit_store_file(k);
    sqlite3_stmt *st;
    long n;

    MF_CHECK_INT(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
    MF_CHECK_INT(sqlite3_step(st), SQLITE_ROW);
    n = (long)sqlite3_column_int64(st, 0);
    MF_CHECK_INT(sqlite3_finalize(st), SQLITE_OK);
    MF_CHECK_INT(sqlite3_close(db), SQLITE_OK);
    return n;
}
