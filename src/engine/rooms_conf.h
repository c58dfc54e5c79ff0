/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rooms_conf: the settings of journal and store in the words of those modules, for the
 * engine and for commands that open one of them alone.
 *
 * Owns:    nothing: what it fills borrows from the settings
 * Thread:  any
 * Limits:  none
 * Fails:   never
 */
#ifndef MF_ENGINE_ROOMS_CONF_H
#define MF_ENGINE_ROOMS_CONF_H

#include "base/base.h"
#include "conf/conf.h"
#include "journal/journal.h"
#include "store/store.h"

MF_ANY void mf_journal_conf(const struct mf_conf *c, struct mf_journal_config *out);
/* `space`: of the vectors that will be written; 0: none will. */
MF_ANY void mf_store_conf(const struct mf_conf *c, uint32_t space,
                          struct mf_store_config *out);
/* Jobs that the store may have at work at once, for the size of the pool. */
MF_ANY unsigned mf_store_permits(const struct mf_conf *c);

#endif
