/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse model pull: a bar on a terminal, lines elsewhere, and Ctrl-C. */
#include "hub/pull.h"
#include "main/commands.h"
#include "main/model_commands.h"
#include "main/words.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR      24
#define DRAW_MS  100
#define MIB      (1024.0 * 1024)
#define HUB_VARS "MEMFUSE_HUB", "HF_ENDPOINT"

static volatile sig_atomic_t is_interrupted;

struct screen {
    bool is_terminal;
    bool has_line; /* the bar stands there without an end of line */
    uint64_t drawn_ms;
    const char *file; /* that the rate is counted from */
    uint64_t from_bytes, from_ms;
};

static void on_interrupt(MF_UNUSED int signum)
{
    is_interrupted = 1;
}

/* No SA_RESTART: a pause between two tries ends at once. */
static void watch_interrupt(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof(sa));
    sa.sa_handler = on_interrupt;
    (void)sigaction(SIGINT, &sa, NULL);
    (void)sigaction(SIGTERM, &sa, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
}

static bool is_stopped(MF_UNUSED void *arg)
{
    return is_interrupted != 0;
}

static uint64_t now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void clear_line(struct screen *s)
{
    if (s->has_line) {
        (void)fprintf(stderr, "\r\033[K");
        s->has_line = false;
    }
}

static void draw(struct screen *s, const struct mf_hub_progress *p, uint64_t ms)
{
    char bar[BAR + 1];
    double share = p->total > 0 ? (double)p->done / (double)p->total : 0;
    double seconds = (double)(ms - s->from_ms) / 1000;
    double rate = seconds > 0 ? (double)(p->done - s->from_bytes) / seconds : 0;
    size_t full = (size_t)(share * BAR);

    memset(bar, '.', BAR);
    memset(bar, '#', mf_min(full, BAR));
    bar[BAR] = '\0';
    (void)fprintf(stderr, "\r\033[K[%s] %3.0f%% %.1f MiB, %.1f MiB/s  %s", bar,
                  100 * share, (double)p->done / MIB, rate / MIB, p->file);
    s->has_line = true;
    s->drawn_ms = ms;
}

static void on_progress(void *arg, const struct mf_hub_progress *p)
{
    struct screen *s = arg;
    uint64_t ms = now_ms();

    if (p->is_whole) {
        clear_line(s);
        (void)fprintf(stderr, "%s: %" PRIu64 " bytes%s\n", p->file, p->done,
                      p->was_there ? ", from an earlier pull" : "");
        return;
    }
    if (s->file != p->file) {
        s->file = p->file;
        s->from_bytes = p->done;
        s->from_ms = ms;
        s->drawn_ms = 0;
    }
    if (s->is_terminal && ms - s->drawn_ms >= DRAW_MS) {
        draw(s, p, ms);
    }
}

static void on_retry(void *arg, const char *why, unsigned pause_ms)
{
    clear_line(arg);
    (void)fprintf(stderr, "%s; once more in %.1f s\n", why, pause_ms / 1000.0);
}

static const char *base_of_environment(void)
{
    static const char *const names[] = {HUB_VARS};

    for (size_t i = 0; i < mf_countof(names); i++) {
        const char *v = getenv(names[i]);

        if (v != NULL && v[0] != '\0') {
            return v;
        }
    }
    return NULL;
}

static void say_pulled(const struct mf_hub_pulled *out)
{
    if (out->was_there) {
        (void)printf("%s is there already, revision %s\n", out->folder, out->revision);
        return;
    }
    (void)printf("%s: %zu files, %" PRIu64
                 " bytes, revision %s; the hub told checksums of %zu\n",
                 out->folder, out->n_files, out->bytes, out->revision, out->n_compared);
}

static int pull(const struct mf_hub_options *o, struct screen *s)
{
    struct mf_hub_pulled out;
    struct mf_err err = {0};
    int rc = mf_hub_pull(&out, o, &err);

    clear_line(s);
    if (rc == MF_ECANCELED) {
        (void)fprintf(stderr,
                      "memfuse: stopped; what came is kept in %s, and the same command "
                      "takes up from there\n",
                      out.partial);
        return MF_EXIT_FAILED;
    }
    if (rc < 0) {
        return mf_say_failed(&err, rc);
    }
    say_pulled(&out);
    return MF_EXIT_OK;
}

int mf_cmd_model_pull(int argc, char **argv)
{
    struct screen s = {.is_terminal = isatty(STDERR_FILENO) == 1};
    struct mf_hub_options o = {.base = base_of_environment(),
                               .revision = "main",
                               .models = MF_HUB_MODELS,
                               .progress = on_progress,
                               .retry = on_retry,
                               .is_stopped = is_stopped,
                               .arg = &s};
    const struct mf_word words[] = {{"--base", &o.base, NULL},
                                    {"--to", &o.models, NULL},
                                    {"--revision", &o.revision, NULL}};
    int rc = mf_take_words(argc, argv, words, mf_countof(words), &o.name);

    if (rc != 0) {
        return rc;
    }
    if (o.base == NULL) {
        (void)fprintf(stderr, "memfuse: from which hub? Give its address with --base "
                              "https://... or in MEMFUSE_HUB\n");
        return MF_EXIT_USAGE;
    }
    watch_interrupt();
    return pull(&o, &s);
}
