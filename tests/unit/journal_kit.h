/* SPDX-License-Identifier: Apache-2.0 */
/*
 * journal_kit: a journal on a loop, waited for; and a second process.
 */
#ifndef MF_JOURNAL_KIT_H
#define MF_JOURNAL_KIT_H

#include "journal/journal.h"
#include "journal/log.h"
#include "lib/mf_test.h"
#include "unit/journal_items.h"

#include <sys/types.h>

/* What a replay gave. */
struct kit_rounds {
    size_t n, n_parked, n_wrong;
    uint64_t bytes, last;
    bool is_ascending;
    uint64_t seqs[4096];
    char last_reason[64];
};

int kit_count(struct mf_item *it, const char *reason, void *arg);
int kit_count_bytes(struct mf_item *it, const char *reason, size_t bytes, void *arg);
/* Answers -1234 at seq 2. */
int kit_refuse_second(struct mf_item *it, const char *reason, size_t bytes, void *arg);

/* A journal on its own loop. */
struct kit {
    struct mf_loop *loop;
    struct mf_journal *j;
    struct mf_journal_config cfg;
    unsigned n_fatal;
    bool is_closed;
};

void kit_config(struct mf_journal_config *cfg, const char *dir);
void kit_open(struct kit *k, const char *dir); /* kit_config's, or what k->cfg has */
void kit_close(struct kit *k);
bool kit_run_until(struct kit *k, const bool *flag);

/* An append whose end is remembered. */
struct kit_append {
    struct mf_journal_append a;
    int rc;
    bool is_done;
    unsigned order; /* how many were done before */
};

extern unsigned kit_n_done;
int kit_append(struct kit *k, struct kit_append *a, uint64_t seq);
int kit_append_and_wait(struct kit *k, uint64_t seq);
int kit_erase_and_wait(struct kit *k, const uint64_t *seqs, size_t n);
int kit_park_and_wait(struct kit *k, uint64_t seq, const char *reason);

/* Runs journal_child with these words and reads what it prints. */
int kit_child(char *out, size_t cap, const char *verb, const char *dir);
pid_t kit_child_start(int *fd, const char *verb, const char *dir);
void kit_child_kill(pid_t pid, int fd); /* kill -9, waited for */
int kit_scan(const char *line, unsigned long long out[5]);

#endif
