/* SPDX-License-Identifier: Apache-2.0 */
/* A whole small model folder behind the model's table. */
#include "base/mem.h"
#include "embed/model.h"
#include "lib/gguf_file.h"
#include "lib/mf_test.h"
#include "lib/model_folder.h"

#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>

#define DIM     32
#define N_TEXTS 150

static struct mf_model *open_small(struct mf_model_spec spec, const char *precision)
{
    const char *folder = mf_test_tmpdir();
    struct mf_model_options opt = {.model = folder, .precision = precision};
    struct mf_model *m = NULL;
    struct mf_err err = {0};

    mf_model_folder(folder, &spec);
    if (mf_model_open(&m, &opt, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return m;
}

/* The space of a model whose makers have these prompts. */
static uint32_t space_with(const char *prompts)
{
    struct mf_model_spec spec = mf_model_small();
    const char *folder = mf_test_tmpdir();
    struct mf_model_options opt = {.model = folder, .precision = "f32"};
    struct mf_model *m = NULL;
    uint32_t id;

    mf_model_folder(folder, &spec);
    mf_model_text(folder, "config_sentence_transformers.json", prompts);
    MF_CHECK_OK(mf_model_open(&m, &opt, NULL));
    id = m->info.space_id;
    mf_model_close(m);
    return id;
}

static void check_unit(const float *v)
{
    double sum = 0;

    for (size_t i = 0; i < DIM; i++) {
        sum += (double)v[i] * (double)v[i];
    }
    MF_CHECK(fabs(sqrt(sum) - 1) < 1e-4);
}

static double distance(const float *a, const float *b)
{
    double max = 0;

    for (size_t i = 0; i < DIM; i++) {
        max = mf_max(max, fabs((double)a[i] - (double)b[i]));
    }
    return max;
}

/* Texts of 0 to 30 words of the small vocabulary's letters. */
static struct mf_text text_of(char *buf, size_t cap, unsigned seed)
{
    size_t n = 0;

    buf[0] = '\0';
    for (unsigned i = 0; i < seed % 31; i++) {
        n += (size_t)snprintf(buf + n, cap - n, "%c%s",
                              (char)('a' + (int)((seed * 7 + i * 13) % 26)),
                              i % 3 == 0 ? " " : "");
    }
    return (struct mf_text){mf_slice_str(buf), 0};
}

MF_TEST(transformer, has_another_space_for_another_prompt_of_documents_only)
{
    uint32_t plain = space_with("{}");
    uint32_t passage = space_with("{\"prompts\":{\"passage\":\"P: \"}}");

    MF_CHECK_INT(space_with("{\"prompts\":{\"query\":\"Q: \"}}"), plain);
    MF_CHECK_INT(space_with("{\"prompts\":{\"passage\":\"\"}}"), plain);
    MF_CHECK(passage != plain);
    MF_CHECK(space_with("{\"prompts\":{\"passage\":\"D: \"}}") != passage);
    MF_CHECK_INT(space_with("{\"prompts\":{\"document\":\"P: \"}}"), passage);
}

MF_TEST(transformer, tells_what_it_is)
{
    struct mf_model *m = open_small(mf_model_small(), "f32");

    MF_CHECK_INT(m->info.dim, DIM);
    MF_CHECK_INT(m->info.window, 30);
    MF_CHECK_INT(m->info.n_special, 2);
    MF_CHECK(m->info.is_semantic);
    MF_CHECK_STR(m->info.precision, "f32");
    MF_CHECK_STR(m->info.pooling, "mean");
    MF_CHECK_STR(m->info.dtype, "float32");
    MF_CHECK(strstr(m->info.space, "f32") != NULL);
    MF_CHECK_INT(m->info.space_id, mf_space_id(m->info.space));
    mf_model_close(m);
}

MF_TEST(transformer, a_text_has_one_vector_whatever_it_is_embedded_with)
{
    static char bufs[N_TEXTS][128];
    static float all[N_TEXTS * DIM], one[DIM];
    struct mf_model *m = open_small(mf_model_small(), "f32");
    struct mf_text texts[N_TEXTS];
    struct mf_text_result res[N_TEXTS], r;

    for (unsigned i = 0; i < N_TEXTS; i++) {
        texts[i] = text_of(bufs[i], sizeof(bufs[i]), i * 17);
    }
    MF_CHECK_OK(m->ops->embed(m, texts, N_TEXTS, all, res));
    for (unsigned i = 0; i < N_TEXTS; i++) {
        MF_CHECK_OK(res[i].rc);
        MF_CHECK(res[i].n_tokens >= 2 && res[i].n_tokens <= 32);
        check_unit(all + (size_t)i * DIM);
        MF_CHECK_OK(m->ops->embed(m, &texts[i], 1, one, &r));
        MF_CHECK(distance(one, all + (size_t)i * DIM) < 1e-5);
        MF_CHECK_INT(r.n_tokens, res[i].n_tokens);
    }
    mf_model_close(m);
}

MF_TEST(transformer, flags_belong_to_their_text_alone)
{
    static const char longer[] = "a b c d e f g h i j k l m n o p q r s t u v w x y z "
                                 "a b c d e f g h i j k l m n o p q r s t u v w x y z";
    struct mf_model *m = open_small(mf_model_small(), "f32");
    struct mf_text texts[6] = {{mf_slice_str("a b"), 0},
                               {mf_slice_str(longer), MF_TEXT_WHOLE},
                               {mf_slice_str("a b"), MF_TEXT_RAW},
                               {mf_slice_str(longer), 0},
                               {mf_slice_str(longer), MF_TEXT_LEFT},
                               {mf_slice_str("a b"), MF_TEXT_WHOLE}};
    struct mf_text_result res[6];
    float v[6 * DIM];
    double norm = 0;

    MF_CHECK_OK(m->ops->embed(m, texts, 6, v, res));
    MF_CHECK_OK(res[0].rc);
    MF_CHECK_INT(res[1].rc, MF_ETOOBIG);
    MF_CHECK_OK(res[2].rc);
    for (size_t i = 0; i < DIM; i++) {
        norm += (double)v[2 * DIM + i] * (double)v[2 * DIM + i];
    }
    norm = sqrt(norm);
    MF_CHECK(fabs(norm - 1) > 1e-3);
    for (size_t i = 0; i < DIM; i++) {
        MF_CHECK(fabs((double)v[2 * DIM + i] / norm - (double)v[i]) < 1e-5);
    }
    MF_CHECK_INT(res[3].n_tokens, 32);
    MF_CHECK_INT(res[4].n_tokens, 32);
    MF_CHECK(distance(v + 3 * DIM, v + 4 * DIM) > 1e-4); /* begin and end differ */
    MF_CHECK(distance(v, v + 5 * DIM) < 1e-6);
    mf_model_close(m);
}

MF_TEST(transformer, a_refused_text_leaves_the_others_theirs)
{
    static const char longer[] = "a b c d e f g h i j k l m n o p q r s t u v w x y z "
                                 "a b c d e f g h i j k l m n o p q r s t u v w x y z";
    struct mf_model *m = open_small(mf_model_small(), "f32");
    struct mf_text texts[6] = {
        {mf_slice_str(longer), MF_TEXT_WHOLE}, {mf_slice_str("a b"), 0},
        {mf_slice_str(longer), MF_TEXT_WHOLE}, {mf_slice_str("c d e"), 0},
        {mf_slice_str(longer), MF_TEXT_WHOLE}, {mf_slice_str("x"), 0}};
    struct mf_text_result res[6], r;
    float v[6 * DIM], one[DIM];

    MF_CHECK_OK(m->ops->embed(m, texts, 6, v, res));
    for (size_t i = 0; i < 6; i++) {
        MF_CHECK_INT(res[i].rc, i % 2 == 0 ? MF_ETOOBIG : 0);
        if (i % 2 == 1) {
            MF_CHECK_OK(m->ops->embed(m, &texts[i], 1, one, &r));
            MF_CHECK(distance(one, v + i * DIM) < 1e-5);
        }
    }
    mf_model_close(m);
}

MF_TEST(transformer, gives_pieces_and_a_vector_for_each)
{
    struct mf_model *m = open_small(mf_model_small(), "f32");
    struct mf_text text = {mf_slice_str("a b c"), 0};
    struct mf_piece p[8];
    float *states = NULL, mean[DIM] = {0}, pooled[DIM];
    struct mf_text_result res;
    uint32_t n = 0;

    MF_CHECK_INT(m->ops->tokenize(m, &text, true, p, 8), 5);
    MF_CHECK(p[0].is_special && mf_slice_is(p[0].writing, "[CLS]"));
    MF_CHECK(!p[2].is_special && p[2].start == 2 && p[2].end == 3);
    MF_CHECK(p[4].is_special && mf_slice_is(p[4].writing, "[SEP]"));
    MF_CHECK_INT(m->ops->tokenize(m, &text, false, p, 2), 3);
    MF_CHECK(!p[0].is_special);
    MF_CHECK_OK(m->ops->states(m, &text, &states, &n));
    MF_CHECK_INT(n, 5);
    for (size_t i = 0; i < n; i++) {
        for (size_t d = 0; d < DIM; d++) {
            mean[d] += states[i * DIM + d] / (float)n;
        }
    }
    text.flags = MF_TEXT_RAW;
    MF_CHECK_OK(m->ops->embed(m, &text, 1, pooled, &res));
    MF_CHECK(distance(mean, pooled) < 1e-5);
    mf_free(states);
    mf_model_close(m);
}

static void *embed_many(void *arg)
{
    struct mf_model *m = arg;
    static const char *const words[] = {"a", "a b", "c d e f", "x y z a b c"};

    for (unsigned i = 0; i < 200; i++) {
        struct mf_text t = {mf_slice_str(words[i % 4]), 0};
        struct mf_text_result r;
        float v[DIM];

        if (m->ops->embed(m, &t, 1, v, &r) != 0 || r.rc != 0) {
            return m;
        }
    }
    return NULL;
}

MF_TEST(transformer, several_threads_embed_at_once)
{
    struct mf_model *m = open_small(mf_model_small(), "f32");
    pthread_t t[4];
    void *failed;

    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(pthread_create(&t[i], NULL, embed_many, m));
    }
    for (size_t i = 0; i < 4; i++) {
        MF_CHECK_OK(pthread_join(t[i], &failed));
        assert_null(failed);
    }
    mf_model_close(m);
}

MF_TEST(transformer, chooses_a_precision_by_itself_that_keeps_its_word)
{
    struct mf_model *m = open_small(mf_model_small(), "auto");

    MF_CHECK(m->info.guard_min >= 0.99F);
    MF_CHECK(strstr(m->info.space, m->info.precision) != NULL);
    mf_model_close(m);
}

static double cosine(const float *a, const float *b)
{
    double ab = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < DIM; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

static struct mf_model *open_gguf(uint32_t type)
{
    static struct mf_gguf_file g;
    char path[PATH_MAX];
    struct mf_model_options opt = {.model = path, .precision = "f32"};
    struct mf_model *m = NULL;
    struct mf_err err = {0};

    mf_gguf_file_small(&g, type);
    mf_gguf_file_save(&g, "small.gguf", path);
    if (mf_model_open(&m, &opt, &err) < 0) {
        fail_msg("%s", err.msg);
    }
    return m;
}

MF_TEST(transformer, a_gguf_file_gives_the_vectors_of_its_folder)
{
    static const char *const texts[] = {"",
                                        "a b c",
                                        "Word99 IS word100, isn't it?",
                                        "\u00e9\u00c0 caf\u00e9",
                                        "[MASK] a",
                                        "\u4e2d x",
                                        "xword99 unknown\u0416"};

    static const struct {
        uint32_t type;
        double max_distance, min_cosine;
    } kinds[] = {{G_F32, 1e-6, 0.999999}, {G_F16, 1e-3, 0.9999}, {G_Q8_0, 1, 0.99}};
    struct mf_model_spec spec = mf_model_small();
    struct mf_model *folder;

    spec.pooling = "cls";
    folder = open_small(spec, "f32");
    for (size_t k = 0; k < mf_countof(kinds); k++) {
        struct mf_model *file = open_gguf(kinds[k].type);

        for (size_t i = 0; i < mf_countof(texts); i++) {
            struct mf_text text = {mf_slice_str(texts[i]), 0};
            struct mf_text_result of_folder, of_file;
            float a[DIM], b[DIM];

            MF_CHECK_OK(folder->ops->embed(folder, &text, 1, a, &of_folder));
            MF_CHECK_OK(file->ops->embed(file, &text, 1, b, &of_file));
            MF_CHECK_INT(of_file.n_tokens, of_folder.n_tokens);
            MF_CHECK(distance(a, b) <= kinds[k].max_distance);
            MF_CHECK(cosine(a, b) >= kinds[k].min_cosine);
        }
        mf_model_close(file);
    }
    mf_model_close(folder);
}

MF_TEST(transformer, refuses_what_does_not_fit_together)
{
    const char *folder = mf_test_tmpdir();
    struct mf_model_options opt = {.model = folder, .precision = "f32"};
    struct mf_model_spec spec = mf_model_small();
    struct mf_model *m = NULL;
    struct mf_err err = {0};
    char path[4200];
    FILE *f;

    mf_model_folder(folder, &spec);
    (void)snprintf(path, sizeof(path), "%s/vocab.txt", folder);
    f = fopen(path, "a");
    MF_CHECK(f != NULL);
    MF_CHECK(fputs("surplus\n", f) >= 0);
    MF_CHECK_OK(fclose(f));
    MF_CHECK_INT(mf_model_open(&m, &opt, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "same publication") != NULL);
    opt.precision = "half";
    MF_CHECK_INT(mf_model_open(&m, &opt, &err), MF_EINVAL);
    MF_CHECK(strstr(err.msg, "half") != NULL);
    opt = (struct mf_model_options){.model = "/no/such/folder", .precision = "auto"};
    MF_CHECK_INT(mf_model_open(&m, &opt, &err), MF_ENOTFOUND);
    MF_CHECK(strstr(err.msg, "/no/such/folder") != NULL);
    assert_null(m);
}

static void check_each_allocation(const char *path)
{
    struct mf_model_options opt = {.model = path, .precision = "f32"};
    bool is_open = false;

    for (unsigned nth = 1; !is_open; nth++) {
        struct mf_model *m = NULL;
        struct mf_err err = {0};

        mf_test_fail_nth(nth);
        is_open = mf_model_open(&m, &opt, &err) == 0;
        mf_test_fail_nth(0);
        MF_CHECK(is_open || err.msg[0] != '\0');
        mf_model_close(m);
        MF_CHECK(nth < 5000);
    }
}

MF_TEST(transformer, reports_when_there_is_no_memory)
{
    static struct mf_gguf_file g;
    struct mf_model_spec spec = mf_model_small();
    char path[PATH_MAX];

    mf_model_folder(mf_test_tmpdir(), &spec);
    check_each_allocation(mf_test_tmpdir());
    mf_gguf_file_small(&g, G_F32);
    mf_gguf_file_save(&g, "small.gguf", path);
    check_each_allocation(path);
}
