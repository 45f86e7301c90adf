/* The inputs of a run as the command line asks for them: from files, or made up. */
#ifndef TOOLS_INPUTS_H
#define TOOLS_INPUTS_H

#include "engine/base/memory.h"
#include "engine/base/tensor.h"
#include "tools/options.h"

/* One value per input of the model, in its order. */
typedef struct input_set {
  memory account;
  size_t count;
  char **names;  /* copies: the set outlives the model it was made for */
  value *values; /* kind NONE: not given */
} input_set;

/* Reads and makes the inputs of `model`. `otherwise` is how inputs are made that no -i gives where --fill is not there;
 * with FILL_NONE a missing input is an error, unless it is optional. false: the error was printed. inputs_free is due
 * in either case. */
bool inputs_collect(input_set *set, const struct settings *settings, const norma_model *model, fill_kind otherwise);
void inputs_free(input_set *set);

/* Binds them to a session of that model, or of one with inputs of the same names. Prints errors. */
bool inputs_bind(const input_set *set, norma_session *session);

/* Fills a tensor: floats normal with mean 0 and deviation 1, integers 0 to 9 (as far as the type goes), bool either,
 * strings digits. The same seed gives the same numbers on every machine of IEEE arithmetic. */
norma_status fill_value(memory *account, norma_element_type type, const shape *shape, fill_kind kind, uint64_t seed,
                        value *into, norma_error *error);

#endif
