/* SPDX-License-Identifier: Apache-2.0 */
/* memfuse model: its words. */
#include "main/commands.h"
#include "main/model_commands.h"
#include "main/words.h"

static const struct mf_command verbs[] = {
    {"pull", "NAME [--base URL] [--to DIR] [--revision REV]",
     "fetches a model from a hub into DIR/NAME (DIR: models; URL: $MEMFUSE_HUB)",
     mf_cmd_model_pull},
    {"list", "[--dir DIR]", "the models in DIR (models)", mf_cmd_model_list},
    {"info", "FOLDER [--json] [--open]",
     "what a model is; --open: and how this machine computes it", mf_cmd_model_info},
    {"verify", "FOLDER", "checks its files against their sums and opens them",
     mf_cmd_model_verify},
};

int mf_cmd_model(int argc, char **argv)
{
    return mf_run_command("model ", verbs, mf_countof(verbs), argc, argv);
}
