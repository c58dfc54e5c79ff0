/* SPDX-License-Identifier: Apache-2.0 */
/* recall_kit: made-up records for the tests of recall, the same for the same seed. */
#ifndef MF_TEST_RECALL_KIT_H
#define MF_TEST_RECALL_KIT_H

#include "lib/mf_test.h"

#include "recall/shelf.h"

#define KIT_DIM   72 /* not a multiple of what a register holds */
#define KIT_SPACE 5
#define KIT_OTHER 6 /* another vector space */

struct kit_rec {
    uint64_t seq;
    char session[8], agent[8];
    char text[160];
    enum mf_msg_role role;
    bool is_knowledge, as_f32;
    uint32_t vector; /* seed; 0: none */
    uint32_t space;
};

MF_ASSERTS_LOOP static inline void kit_on_loop(void)
{
}

extern const struct mf_recall_weights kit_weights;

void kit_vector(uint32_t seed, float v[KIT_DIM]);
/* Several sessions, agents, roles, spaces, forms, some without vector, some knowledge;
 * seq is 10 * i. */
struct kit_rec kit_draw(uint32_t seed, size_t i);
void kit_build(struct mf_buf *out, struct mf_terms *t, const struct kit_rec *r);
/* Return what the shelf returned. */
int kit_put(struct mf_shelf *s, struct mf_terms *t, const struct kit_rec *r);
int kit_replace(struct mf_shelf *s, struct mf_terms *t, const struct kit_rec *r);
int kit_feed(struct mf_stream *st, struct mf_terms *t, const struct kit_rec *r);
/* A shelf with these records, one by one; skip >= n leaves out none. */
struct mf_shelf *kit_shelf(struct mf_terms *t, const struct kit_rec *r, size_t n,
                           size_t skip);
/* A request for all records; the question and the vector live in the kit. */
struct mf_scan_request kit_request(struct mf_question *q, struct mf_terms *t,
                                   const char *text, float v[KIT_DIM]);
/* Both give the same hits with the same numbers to several questions. */
void kit_check_same(const struct mf_shelf *a, const struct mf_shelf *b,
                    struct mf_terms *t);
/* mf_shelf_scan, which a test may do on the loop. */
int kit_scan(const struct mf_shelf *s, const struct mf_scan_request *r,
             struct mf_scan_hit *hits, size_t *n);
void kit_check_hits(const struct mf_scan_hit *a, size_t n_a,
                    const struct mf_scan_hit *b, size_t n_b);

#define KIT_QUESTIONS 3
extern const char *const kit_questions[KIT_QUESTIONS];
#define KIT_MAX_HITS 512

#endif
