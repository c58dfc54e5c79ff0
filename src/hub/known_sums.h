/* SPDX-License-Identifier: Apache-2.0 */
/*
 * known_sums: the published files of the default model, MF_HUB_DEFAULT_MODEL. The one
 * place: tools/model.sh reads this list too.
 *
 * Owns:    nothing
 * Thread:  any
 * Limits:  X(path, bytes, SHA-256), one a line
 * Fails:   never
 */
#ifndef MF_HUB_KNOWN_SUMS_H
#define MF_HUB_KNOWN_SUMS_H

/* clang-format off */
#define MF_HUB_KNOWN_SUMS(X) \
  X("model.safetensors", 90868376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db") \
  X("tokenizer.json", 466247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037") \
  X("vocab.txt", 231508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3")
/* clang-format on */

#endif
