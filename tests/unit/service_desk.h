/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service_desk: the service for texts of others above a fake model, and who asks it.
 *
 * Owns:    all of it between open and close
 * Thread:  the case's, which becomes the loop thread
 * Limits:  MAX_TEXTS texts a request
 * Fails:   through cmocka's assertions
 */
#ifndef MF_SERVICE_DESK_H
#define MF_SERVICE_DESK_H

#include "embed/service.h"
#include "lib/embed_fixture.h"

#define MAX_TEXTS 8

extern const struct mf_service_config plain_service;

struct desk { /* a service above the fixture's embed */
    struct fix f;
    struct mf_service *s;
    bool closed;
};

struct ask {
    struct mf_service_request r;
    struct mf_slice texts[MAX_TEXTS];
    float vectors[MAX_TEXTS * DIM];
    uint32_t n_tokens[MAX_TEXTS];
    unsigned n_done;
    int rc;
    bool is_done;
};

struct look {
    struct mf_service_look k;
    unsigned n_done;
    int rc;
    bool is_done;
};

void desk_open_with(struct desk *d, const struct mf_fake_config *model,
                    const struct mf_embed_config *embed,
                    const struct mf_service_config *cfg) MF_ASSERTS_LOOP;
void desk_open(struct desk *d) MF_ASSERTS_LOOP;
void desk_close(struct desk *d);
/* Texts as one string: "one|two". */
int ask(struct desk *d, struct ask *a, const char *texts, enum mf_urgency urgency);
void wait_for(struct desk *d, struct ask *a);
void check_all(struct desk *d, const struct ask *a);
void ask_and_check(struct desk *d, struct ask *a, const char *texts);
struct mf_service_stats stats_of(struct desk *d);
/* The one permit is taken by a text that stands still. */
void block_model(struct desk *d, struct ask *blocker);
void ask_done(struct mf_service_request *r, int rc);
void look_done(struct mf_service_look *k, int rc);

#endif
