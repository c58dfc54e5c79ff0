/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/mailbox.h"

#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>

struct mf_mailbox {
    uv_async_t async;
    struct mf_loop *loop;
    mf_mailbox_deliver_fn deliver;
    void *arg;
    mf_mailbox_closed_fn closed;
    void *closed_arg;

    pthread_mutex_t lock; /* guards what follows */
    struct mf_letter *first, *last;
    bool closing;
};

static void on_closed(uv_handle_t *handle)
{
    struct mf_mailbox *m = mf_container_of(handle, struct mf_mailbox, async);
    mf_mailbox_closed_fn closed = m->closed;
    void *arg = m->closed_arg;

    mf_loop_assert(m->loop);
    MF_ASSERT(m->first == NULL);
    MF_ASSERT(pthread_mutex_destroy(&m->lock) == 0);
    mf_free(m);
    if (closed != NULL) {
        closed(arg);
    }
}

/* `closing` is read together with the list: when it is set, this list is the last. */
static void on_mail(uv_async_t *handle)
{
    struct mf_mailbox *m = mf_container_of(handle, struct mf_mailbox, async);
    struct mf_letter *letter, *next;
    bool is_last;

    mf_loop_assert(m->loop);
    MF_ASSERT(pthread_mutex_lock(&m->lock) == 0);
    letter = m->first;
    m->first = m->last = NULL;
    is_last = m->closing;
    MF_ASSERT(pthread_mutex_unlock(&m->lock) == 0);

    for (; letter != NULL; letter = next) {
        next = letter->next; /* after deliver the letter is not ours */
        m->deliver(letter, m->arg);
    }
    if (is_last) {
        uv_close((uv_handle_t *)&m->async, on_closed);
    }
}

int mf_mailbox_open(struct mf_mailbox **out, struct mf_loop *l,
                    mf_mailbox_deliver_fn deliver, void *arg)
{
    struct mf_mailbox *m = mf_calloc(1, sizeof(*m));
    int rc;

    if (m == NULL) {
        return MF_ENOMEM;
    }
    m->loop = l;
    m->deliver = deliver;
    m->arg = arg;
    rc = uv_async_init(mf_loop_uv(l), &m->async, on_mail);
    if (rc < 0) {
        mf_free(m);
        return mf_code_from_errno(-rc);
    }
    MF_ASSERT(pthread_mutex_init(&m->lock, NULL) == 0);
    *out = m;
    return 0;
}

int mf_mailbox_post(struct mf_mailbox *m, struct mf_letter *letter)
{
    int rc = MF_ECLOSED;

    MF_ASSERT(pthread_mutex_lock(&m->lock) == 0);
    if (!m->closing) {
        letter->next = NULL;
        if (m->first == NULL) {
            m->first = letter;
            /* Inside the lock: outside it the box could be closed and gone before
             * the wake is sent. */
            MF_ASSERT(uv_async_send(&m->async) == 0);
        } else {
            m->last->next = letter;
        }
        m->last = letter;
        rc = 0;
    }
    MF_ASSERT(pthread_mutex_unlock(&m->lock) == 0);
    return rc;
}

void mf_mailbox_close(struct mf_mailbox *m, mf_mailbox_closed_fn closed, void *arg)
{
    bool again;

    MF_ASSERT(pthread_mutex_lock(&m->lock) == 0);
    again = m->closing;
    m->closing = true;
    MF_ASSERT(pthread_mutex_unlock(&m->lock) == 0);
    if (again) {
        return;
    }
    m->closed = closed;
    m->closed_arg = arg;
    /* The last delivery, with nothing in it perhaps, closes the handle. */
    MF_ASSERT(uv_async_send(&m->async) == 0);
}
