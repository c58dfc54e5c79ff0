/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embed_fixture: a loop, a fake model and embed, and tasks that note what became of
 * them. For the tests of embed.
 *
 * Owns:    struct fix: all of it between open and close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  notes the order of MAX_DONE tasks
 * Fails:   through cmocka's assertions
 */
#ifndef MF_EMBED_FIXTURE_H
#define MF_EMBED_FIXTURE_H

#include "embed/embed.h"
#include "lib/fake_model.h"
#include "lib/mf_test.h"

#define DIM      8
#define PATIENCE 20000 /* ms before a test that hangs fails */
#define MAX_DONE 128
#define POISON   7.0f

#define MAX_PASSAGES 8

struct fix {
    struct mf_loop *loop;
    struct mf_fake_model *fake;
    struct mf_embed *embed;
    bool closed;
    unsigned n_closed;
};

struct task {
    struct mf_embed_task t;
    struct fix *fix;
    float v[DIM];
    unsigned n_after, n_done;
    int after_rc, rc;
    bool after_had_vector, is_done;
};

extern char done_order[MAX_DONE + 1]; /* first bytes of texts, as they are done */
extern size_t n_done_order;

/* Of the last task that was done with done_with_passages. */
struct seen_passages {
    struct mf_span spans[MAX_PASSAGES];
    float vectors[MAX_PASSAGES][DIM];
    size_t n;
};

extern struct seen_passages seen;

/* One permit, two attempts, a backoff of a millisecond. */
extern const struct mf_embed_config plain_config;

void fix_open(struct fix *f, const struct mf_fake_config *model,
              const struct mf_embed_config *cfg) MF_ASSERTS_LOOP;
void fix_close(struct fix *f);
void fix_closed(void *arg); /* for who closes embed himself; arg: the fix */
void task_after(struct mf_embed_task *t, int rc);
void task_done(struct mf_embed_task *t, int rc);
void done_with_passages(struct mf_embed_task *t,
                        int rc); /* task_done, and notes them */
int submit(struct fix *f, struct task *k, const char *text, enum mf_urgency urgency);
void run_until_done(struct fix *f, struct task *k);
/* Turns of the loop until the model was called `calls` times. */
void run_until_calls(struct fix *f, unsigned calls);
/* A few turns in which something that must not happen would happen. */
void run_a_while(struct fix *f);
void check_vector(struct fix *f, const struct task *k);
void check_no_vector(const struct task *k);
/* What was seen is all of `text`, in order, each with the vector of `prompt` and it. */
void check_passages(struct fix *f, const char *prompt, const char *text);

#endif
