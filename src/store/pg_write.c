/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pg_write.h"

#include "store/pg_row.h"

#define FLOAT_EXPONENT 0x7f800000U /* all of these bits: infinite, or no number */

#define MESSAGES  MF_PG_MESSAGES
#define KNOWLEDGE MF_PG_KNOWLEDGE

MF_WORKER static struct mf_store_write *of_job(const struct mf_pg_job *j)
{
    return mf_container_of(j->req, struct mf_store_write, req);
}

/* Names the row in a refusal: ids are no message text. */
static int name_row(struct mf_err *err, int rc, const struct mf_store_row *row)
{
    return mf_err_wrap(err, rc, "message %.*s",
                       (int)mf_min(row->msg.id.n, (size_t)MF_ID_MAX), row->msg.id.p);
}

/* --- columns */

static const struct mf_store_row *row_at(const void *batch, size_t i)
{
    return ((const struct mf_pg_batch *)batch)->places[i].row;
}

static struct mf_slice user_at(const void *b, size_t i)
{
    return row_at(b, i)->user_id;
}

static struct mf_slice id_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.id;
}

static struct mf_slice session_at(const void *b, size_t i)
{
    return row_at(b, i)->session_id;
}

static struct mf_slice round_at(const void *b, size_t i)
{
    return row_at(b, i)->round_id;
}

static struct mf_slice content_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.content;
}

static struct mf_slice metadata_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.metadata;
}

static struct mf_slice search_at(const void *b, size_t i)
{
    return row_at(b, i)->search;
}

static struct mf_slice passages_at(const void *b, size_t i)
{
    return row_at(b, i)->passages;
}

static int64_t seq_at(const void *b, size_t i)
{
    return (int64_t)row_at(b, i)->seq;
}

static int64_t created_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.created_us;
}

static int64_t updated_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.updated_us;
}

static int64_t role_at(const void *b, size_t i)
{
    return row_at(b, i)->msg.role;
}

static int64_t pending_at(const void *b, size_t i)
{
    return row_at(b, i)->is_pending;
}

static int64_t mark_at(const void *batch, size_t i)
{
    return ((const struct mf_pg_batch *)batch)->places[i].mark;
}

/* pgvector refuses infinities and what is no number, and the row with them. */
static bool is_finite(const float *v, size_t dim)
{
    uint32_t n_bad = 0;

    for (size_t k = 0; k < dim; k++) {
        uint32_t bits;

        memcpy(&bits, &v[k], sizeof(bits));
        n_bad += (bits & FLOAT_EXPONENT) == FLOAT_EXPONENT;
    }
    return n_bad == 0;
}

size_t mf_pg_batch_vector(const void *batch, size_t i, float *to, size_t max_dim)
{
    const struct mf_pg_env *env = ((const struct mf_pg_batch *)batch)->env;
    size_t dim = env->vector_of(search_at(batch, i), to, max_dim);

    return is_finite(to, dim) ? dim : 0;
}

bool mf_pg_has_vectors(const struct mf_pg_batch *b)
{
    return b->env->vector_oid != 0 && b->env->vector_of != NULL;
}

static void add_vectors(struct mf_pg_round *r, const struct mf_pg_batch *b)
{
    if (mf_pg_has_vectors(b)) {
        mf_pg_vector_array(r, b->env->vector_oid, b, b->n, b->env->max_dim,
                           mf_pg_batch_vector);
    }
}

/* --- parts of the verbs */

static bool is_message(const struct mf_pg_place *p)
{
    return p->row->session_id.n > 0;
}

static bool is_knowledge(const struct mf_pg_place *p)
{
    return !is_message(p);
}

static bool is_nothing(MF_UNUSED const struct mf_pg_place *p)
{
    return false;
}

static bool has_passages(const struct mf_pg_place *p)
{
    return p->row->passages.n > 0;
}

static bool has_no_passages(const struct mf_pg_place *p)
{
    return !has_passages(p);
}

static bool got_passages(const struct mf_pg_place *p)
{
    return p->is_changed && has_passages(p);
}

static bool lost_passages(const struct mf_pg_place *p)
{
    return p->is_changed && !has_passages(p);
}

static bool has_nul(struct mf_slice text)
{
    return text.n > 0 && memchr(text.p, '\0', text.n) != NULL;
}

/* Which rule of the table a row breaks, NULL: none. The server would refuse the whole
 * batch and not say for which row. */
static const char *broken_rule(const struct mf_store_row *row, bool is_new)
{
    if (row->msg.content.n == 0) {
        return "content_is_not_empty";
    }
    if (has_nul(row->msg.content) || has_nul(row->msg.metadata)) {
        return "no text contains NUL";
    }
    if ((unsigned)row->msg.role >= MF_MSG_ROLE_COUNT) {
        return "role_is_known";
    }
    if (is_new && (row->seq == 0 || row->seq > INT64_MAX)) {
        return "seq_is_positive";
    }
    if (is_new &&
        (row->user_id.n == 0 || row->session_id.n == 0 || row->msg.id.n == 0)) {
        return "user_id, session_id and id are not NULL";
    }
    return NULL;
}

MF_WORKER static int check_rows(const struct mf_pg_job *j, bool is_new)
{
    const struct mf_store_write *w = of_job(j);

    for (size_t i = 0; i < w->n_rows; i++) {
        const char *rule = broken_rule(&w->rows[i], is_new);

        if (rule != NULL) {
            (void)mf_err_set(j->err, MF_EPOISON, "the table's rule: %s", rule);
            return name_row(j->err, MF_EPOISON, &w->rows[i]);
        }
    }
    return 0;
}

/* Called in the first step; asks for marks when the store is shared. */
MF_WORKER static int open_writing(struct mf_pg_job *j, mf_pg_wants_fn messages,
                                  mf_pg_wants_fn knowledge, enum mf_pg_keep keep)
{
    struct mf_store_write *w = of_job(j);
    struct mf_pg_writing *s = mf_arena_alloc(&j->kept, sizeof(*s));

    w->n_changed = 0;
    if (s == NULL) {
        return mf_err_set(j->err, MF_ENOMEM, "no memory to sort the rows");
    }
    *s = (struct mf_pg_writing){.phase = MF_PG_PHASE_ROWS,
                                .batches = {mf_pg_batch_sort(j, messages, keep),
                                            mf_pg_batch_sort(j, knowledge, keep)}};
    if (s->batches[MESSAGES] == NULL || s->batches[KNOWLEDGE] == NULL) {
        return MF_ENOMEM;
    }
    j->state = s;
    if (j->env->cfg.is_shared && w->n_rows > 0) {
        s->phase = MF_PG_PHASE_MARKS;
        return mf_pg_take_marks(j, s->batches, MF_PG_N_BATCHES);
    }
    return 0;
}

MF_WORKER static int open_messages(struct mf_pg_job *j, bool is_new)
{
    int rc = check_rows(j, is_new);

    return rc < 0 ? rc
                  : open_writing(j, NULL, is_nothing,
                                 is_new ? MF_PG_KEEP_FIRST : MF_PG_KEEP_NEWEST);
}

/* In later steps: after the marks the rows are to be asked for. */
MF_WORKER static int take_answer_of_marks(struct mf_pg_job *j, struct mf_pg_writing *s)
{
    s->phase = MF_PG_PHASE_ROWS;
    return mf_pg_read_marks(j, s->batches, MF_PG_N_BATCHES);
}

int mf_pg_begin_rows(struct mf_pg_job *j)
{
    struct mf_pg_writing *s = j->state;

    return s == NULL ? open_messages(j, true) : take_answer_of_marks(j, s);
}

static void add_keys(struct mf_pg_round *r, const struct mf_pg_batch *b)
{
    mf_pg_text_array(r, b, b->n, user_at);
    mf_pg_text_array(r, b, b->n, id_at);
}

/* Last of the parameters of a change: whose rows all of them are, for Citus. */
static void add_user(struct mf_pg_round *r, const struct mf_pg_batch *b)
{
    bool is_one = b->env->cfg.is_citus && b->n > 0 &&
                  mf_slice_eq(user_at(b, 0), user_at(b, b->n - 1));

    mf_pg_text(r, is_one ? user_at(b, 0) : mf_slice_of(NULL, 0));
}

static void add_passages(struct mf_pg_round *r, const struct mf_pg_batch *b)
{
    add_keys(r, b);
    mf_pg_bytes_array(r, b, b->n, passages_at);
}

/* The passages of messages that are there become those of the rows, none when empty. */
MF_WORKER static int put_passages(struct mf_pg_job *j, const struct mf_pg_batch *b,
                                  mf_pg_wants_fn got, mf_pg_wants_fn lost)
{
    const struct mf_pg_batch *puts = mf_pg_batch_pick(j, b, got);
    const struct mf_pg_batch *drops = mf_pg_batch_pick(j, b, lost);

    if (puts == NULL || drops == NULL) {
        return MF_ENOMEM;
    }
    if (puts->n > 0) {
        mf_pg_add(&j->round, MF_PG_PASSAGES_PUT);
        add_passages(&j->round, puts);
    }
    if (drops->n > 0) {
        mf_pg_add(&j->round, MF_PG_PASSAGES_DROP);
        add_keys(&j->round, drops);
        add_user(&j->round, drops);
    }
    return 0;
}

/* --- WRITE_ROUNDS */

MF_WORKER static int put_rows(struct mf_pg_job *j, const struct mf_pg_batch *b)
{
    static const enum mf_pg_stmt puts[2][2] = {
        {MF_PG_MESSAGE_PUT, MF_PG_MESSAGE_PUT_PASSAGES},
        {MF_PG_MESSAGE_PUT_VECTOR, MF_PG_MESSAGE_PUT_VECTOR_PASSAGES},
    };
    const struct mf_pg_batch *with = mf_pg_batch_pick(j, b, has_passages);
    struct mf_pg_round *r = &j->round;

    if (with == NULL) {
        return MF_ENOMEM;
    }
    mf_pg_add(r, puts[mf_pg_has_vectors(b)][with->n > 0]);
    add_keys(r, b);
    mf_pg_int_array(r, b, b->n, seq_at);
    mf_pg_text_array(r, b, b->n, session_at);
    mf_pg_text_array(r, b, b->n, round_at);
    mf_pg_int_array(r, b, b->n, created_at);
    mf_pg_int_array(r, b, b->n, updated_at);
    mf_pg_int_array(r, b, b->n, role_at);
    mf_pg_bool_array(r, b, b->n, pending_at);
    mf_pg_int_array(r, b, b->n, mark_at);
    mf_pg_bytes_array(r, b, b->n, search_at);
    mf_pg_words_array(r, b, b->n, content_at);
    mf_pg_text_array(r, b, b->n, metadata_at);
    add_vectors(r, b);
    if (with->n > 0) {
        add_passages(r, with);
    }
    return 0;
}

/* How many rows were new: a count when passages came with them. */
MF_WORKER static int read_n_new(struct mf_pg_job *j, size_t *n)
{
    const PGresult *res = mf_pg_result(j, 0);
    struct mf_pg_row r;

    if (PQntuples(res) == 0) {
        *n = mf_pg_n_changed(res);
        return 0;
    }
    r = mf_pg_row(res, 0, j->err);
    *n = (size_t)mf_pg_get_int(&r, 0);
    return r.rc;
}

int mf_pg_write_rounds(struct mf_pg_job *j)
{
    struct mf_store_write *w = of_job(j);
    struct mf_pg_writing *s = j->state;
    int rc;

    if (s != NULL && s->phase == MF_PG_PHASE_ROWS) {
        return s->batches[MESSAGES]->n == 0 ? 0 : read_n_new(j, &w->n_changed);
    }
    rc = mf_pg_begin_rows(j);
    s = j->state;
    if (rc < 0 || s->phase == MF_PG_PHASE_MARKS) {
        return rc;
    }
    if (s->batches[MESSAGES]->n > 0) {
        rc = put_rows(j, s->batches[MESSAGES]);
    }
    mf_pg_add_idems(j, w->idems, w->n_idems);
    mf_pg_is_last(j);
    return rc;
}

/* --- UPDATE_MESSAGES */

MF_WORKER static int set_rows(struct mf_pg_job *j, const struct mf_pg_batch *b)
{
    struct mf_pg_round *r = &j->round;

    mf_pg_add(r, mf_pg_has_vectors(b) ? MF_PG_MESSAGE_SET_VECTOR : MF_PG_MESSAGE_SET);
    add_keys(r, b);
    mf_pg_text_array(r, b, b->n, session_at);
    mf_pg_words_array(r, b, b->n, content_at);
    mf_pg_int_array(r, b, b->n, role_at);
    mf_pg_text_array(r, b, b->n, metadata_at);
    mf_pg_bytes_array(r, b, b->n, search_at);
    mf_pg_bool_array(r, b, b->n, pending_at);
    mf_pg_int_array(r, b, b->n, updated_at);
    mf_pg_int_array(r, b, b->n, mark_at);
    add_vectors(r, b);
    add_user(r, b);
    /* With them: when a row is missing all is rolled back. */
    return put_passages(j, b, has_passages, has_no_passages);
}

MF_WORKER static int check_all_changed(struct mf_pg_job *j, struct mf_pg_batch *b)
{
    struct mf_store_write *w = of_job(j);
    int rc = mf_pg_batch_read_changed(j, 0, b);

    for (size_t i = 0; rc == 0 && i < w->n_rows; i++) {
        const struct mf_store_row *row = &w->rows[i];
        const struct mf_pg_place *p = mf_pg_batch_find(b, row->user_id, row->msg.id);

        if (p == NULL || !p->is_changed ||
            !mf_slice_eq(p->row->session_id, row->session_id)) {
            rc = mf_err_set(j->err, MF_ENOTFOUND, "not found in this session");
            return name_row(j->err, rc, row);
        }
    }
    w->n_changed = rc == 0 ? w->n_rows : 0;
    return rc;
}

int mf_pg_update_messages(struct mf_pg_job *j)
{
    struct mf_pg_writing *s = j->state;
    int rc;

    if (of_job(j)->n_rows == 0) {
        return 0;
    }
    if (s != NULL && s->phase == MF_PG_PHASE_ROWS) {
        return check_all_changed(j, s->batches[MESSAGES]);
    }
    rc = s == NULL ? open_messages(j, false) : take_answer_of_marks(j, s);
    s = j->state;
    return rc < 0 || s->phase == MF_PG_PHASE_MARKS ? rc
                                                   : set_rows(j, s->batches[MESSAGES]);
}

/* --- SET_SEARCH */

MF_WORKER static void set_search(struct mf_pg_job *j, enum mf_pg_stmt id,
                                 const struct mf_pg_batch *b)
{
    struct mf_pg_round *r = &j->round;

    if (b->n == 0) {
        return;
    }
    mf_pg_add(r, id);
    add_keys(r, b);
    mf_pg_int_array(r, b, b->n, updated_at);
    mf_pg_bytes_array(r, b, b->n, search_at);
    mf_pg_bool_array(r, b, b->n, pending_at);
    mf_pg_int_array(r, b, b->n, mark_at);
    if (id == MF_PG_MESSAGE_SET_SEARCH_VECTOR) {
        add_vectors(r, b);
    }
    add_user(r, b);
}

/* A vector made from a text that was edited meanwhile finds no row. */
MF_WORKER static int read_search_set(struct mf_pg_job *j, struct mf_pg_writing *s)
{
    size_t at = 0;
    int rc = 0;

    for (size_t k = 0; rc == 0 && k < MF_PG_N_BATCHES; k++) {
        if (s->batches[k]->n > 0) { /* it was asked for */
            of_job(j)->n_changed += (size_t)PQntuples(mf_pg_result(j, at));
            rc = mf_pg_batch_read_changed(j, at++, s->batches[k]);
        }
    }
    return rc;
}

int mf_pg_set_search(struct mf_pg_job *j)
{
    struct mf_pg_writing *s = j->state;
    int rc;

    if (s != NULL && s->phase == MF_PG_PHASE_PASSAGES) {
        return 0;
    }
    if (s != NULL && s->phase == MF_PG_PHASE_ROWS) {
        s->phase = MF_PG_PHASE_PASSAGES;
        rc = read_search_set(j, s);
        rc = rc < 0
                 ? rc
                 : put_passages(j, s->batches[MESSAGES], got_passages, lost_passages);
        mf_pg_is_last(j);
        return rc;
    }
    rc = s == NULL ? open_writing(j, is_message, is_knowledge, MF_PG_KEEP_NEWEST)
                   : take_answer_of_marks(j, s);
    s = j->state;
    if (rc < 0 || s->phase == MF_PG_PHASE_MARKS) {
        return rc;
    }
    set_search(j,
               mf_pg_has_vectors(s->batches[MESSAGES]) ? MF_PG_MESSAGE_SET_SEARCH_VECTOR
                                                       : MF_PG_MESSAGE_SET_SEARCH,
               s->batches[MESSAGES]);
    set_search(j, MF_PG_KNOWLEDGE_SET_SEARCH, s->batches[KNOWLEDGE]);
    return 0;
}
