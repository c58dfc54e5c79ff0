/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flight: one text on its way through the model, and who waits for it.
 *
 * Who asks for a text that is in flight joins it. Somebody in a hurry does not join a
 * flight of the background: then the same text flies twice, at most. Who joined may
 * leave; the last one takes the flight with him.
 *
 * Owns:    flights, each with its copy of the text; waits are their requests'
 * Thread:  loop
 * Limits:  none: the service admits or refuses before
 * Fails:   what mf_embed_submit refuses; MF_ENOMEM
 */
#ifndef MF_EMBED_FLIGHT_H
#define MF_EMBED_FLIGHT_H

#include "base/base.h"
#include "base/list.h"
#include "base/map.h"
#include "embed/embed.h"
#include "embed/vcache.h"

struct mf_flights;
struct mf_service_request;

struct mf_flight_id {
    struct mf_vkey key;
    uint8_t urgency; /* enum mf_urgency */
};

struct mf_flight {
    struct mf_map_node node; /* flights.by_id, until it landed or nobody waits */
    struct mf_flight_id id;
    struct mf_flights *flights;
    struct mf_list waits;
    struct mf_embed_task task;
    bool has_landed, is_canceled;
    float vector[]; /* then the text */
};

struct mf_flight_wait {
    struct mf_link link;      /* flight.waits */
    struct mf_flight *flight; /* NULL: waits for nothing */
    struct mf_service_request *r;
    size_t i; /* of r's texts */
    struct mf_vkey key;
};

/* Loop, once for each flight that was not canceled: pops f->waits until there are none.
 * The flight is gone when it returned. */
typedef void (*mf_flight_landed_fn)(struct mf_flight *f, int rc, void *arg);
typedef void (*mf_flights_empty_fn)(void *arg); /* the last flight is gone */

struct mf_flights {
    struct mf_map by_id;
    struct mf_embed *embed;
    struct mf_loop *loop;
    size_t n; /* canceled ones too */
    mf_flight_landed_fn landed;
    mf_flights_empty_fn empty;
    void *arg;
};

struct mf_flight_plan {
    struct mf_vkey key;
    enum mf_urgency urgency;
    struct mf_slice prompt, text; /* copied */
    unsigned flags;
};

MF_LOOP void mf_flights_init(struct mf_flights *fs, struct mf_loop *l,
                             struct mf_embed *embed);
MF_LOOP void mf_flights_fini(struct mf_flights *fs); /* empty */
/* One that a request of this urgency may join, or NULL. */
MF_LOOP struct mf_flight *mf_flights_find(const struct mf_flights *fs,
                                          const struct mf_vkey *key,
                                          enum mf_urgency urgency);
MF_MUST MF_LOOP int mf_flight_start(struct mf_flight **out, struct mf_flights *fs,
                                    const struct mf_flight_plan *plan);
MF_LOOP void mf_flight_join(struct mf_flight *f, struct mf_flight_wait *w);
MF_LOOP void mf_flight_leave(struct mf_flight_wait *w);

#endif
