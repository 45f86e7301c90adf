/* Options that several commands have. */
#include "tools/inputs.h"

#include <string.h>

static bool take_fill(void *place, const char *text, option_pool *pool) {
  const int word = find_word(text, (const char *const[]){"random", "zeros", "ones", NULL});
  (void)pool;
  if (word >= 0) *(fill_kind *)place = (fill_kind)(FILL_RANDOM + word);
  return word >= 0;
}

static bool take_seed(void *place, const char *text, option_pool *pool) {
  int64_t number;
  (void)pool;
  if (!parse_integer(text, 0, INT64_MAX, &number)) return false;
  *(uint64_t *)place = (uint64_t)number;
  return true;
}

static bool take_shape(void *place, const char *text, option_pool *pool) {
  int64_t dims[NORMA_MAX_RANK];
  const char *equals = strrchr(text, '=');
  return equals && equals > text && parse_shape(equals + 1, dims) >= 0 && take_list(place, text, pool);
}

const tool_option shared_options[] = {
    [SHARED_JSON] = {"json", 0, NULL, "print one JSON object", NULL, take_flag},
    [SHARED_PROFILE] = {"profile", 0, "FILE.json",
                        "measure each node, print tables by node and by operator, and write a trace that Perfetto and "
                        "Chrome open",
                        NULL, take_text},
    [SHARED_RTOL] = {"rtol", 0, "X", "relative tolerance: |a - b| <= atol + rtol * |b|", "a number such as 1e-3",
                     take_tolerance},
    [SHARED_ATOL] = {"atol", 0, "X", "absolute tolerance", "a number such as 1e-7", take_tolerance},
    [SHARED_MAX_ERROR] = {"max", 0, "X", "largest error over the largest magnitude of a tensor (default: 1e-4)",
                          "a number such as 1e-4", take_tolerance},
    [SHARED_VERBOSE] = {"verbose", 0, NULL, "a line for every test, skipped ones with their reason", NULL, take_flag},
    [SHARED_OUTPUT_FILE] = {NULL, 'o', "OUT", "write the model to OUT, whole or not at all; not the file that is read",
                            NULL, take_text},
    [SHARED_VERIFY] = {"verify", 0, NULL,
                       "compare the new model's outputs with the old one's (random inputs unless -i gives them) before "
                       "it gets its name",
                       NULL, take_flag},
    [SHARED_INPUT] = {"input", 'i', "[NAME=]FILE",
                      "read an input from FILE; without a name, the next input in graph order. FILE is .npy, .npz, .pb "
                      "(TensorProto, SequenceProto or OptionalProto) or a picture, which is resized to the input's "
                      "height and width",
                      "[NAME=]FILE", take_list},
    [SHARED_FILL] = {"fill", 0, "HOW",
                     "make inputs that no -i gives: random (floats normal, integers 0 to 9), zeros or ones; dynamic "
                     "dimensions are 1 unless --shape says otherwise",
                     "random, zeros or ones", take_fill},
    [SHARED_SEED] = {"seed", 0, "N", "seed of --fill random (default: 1)", "a whole number", take_seed},
    [SHARED_SHAPE] = {"shape", 0, "NAME=DIMS", "shape of an input made by --fill, such as data=1x3x224x224",
                      "NAME=DIMS such as data=1x3x224x224", take_shape},
};
