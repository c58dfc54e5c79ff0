/* SPDX-License-Identifier: Apache-2.0 */
/* The routes of other families, at the root. */
#include "api/handlers.h"
#include "api/route.h"

/* clang-format off */
static const struct mf_route openai[] = {
    {MF_HTTP_POST, {"v1", "embeddings"}, mf_handle_openai_embeddings, 0, 0},
    {MF_HTTP_POST, {"embeddings"}, mf_handle_openai_embeddings, 0, 0},
    {MF_HTTP_GET, {"v1", "models"}, mf_handle_openai_models, 0, 0},
    {MF_HTTP_GET, {"v1", "models", "*"}, mf_handle_openai_model, 0, 0},
};

static const struct mf_route tei[] = {
    {MF_HTTP_POST, {"embed"}, mf_handle_tei_embed, 0, 0},
    {MF_HTTP_POST, {NULL}, mf_handle_tei_embed, 0, 0}, /* huggingface_hub posts to / */
    {MF_HTTP_POST, {"embed_all"}, mf_handle_tei_embed_all, 0, 0},
    {MF_HTTP_POST, {"tokenize"}, mf_handle_tei_tokenize, 0, 0},
    {MF_HTTP_GET, {"info"}, mf_handle_tei_info, 0, 0},
    {MF_HTTP_GET, {"health"}, mf_handle_tei_health, 0, MF_ROUTE_OPEN},
};

/* clang-format on */

struct mf_route_table mf_routes_openai(void)
{
    return (struct mf_route_table){openai, mf_countof(openai)};
}

struct mf_route_table mf_routes_tei(void)
{
    return (struct mf_route_table){tei, mf_countof(tei)};
}
